//! The steps of one pass.
//!
//! The order is the whole point: save, then perform; publish only what is saved; after a failed or unknown save, perform
//! nothing. Whoever loses a compare-and-set reads again and decides again.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Action, Answer, Context, Done, IgnoreReason, OperatorRequest, Request, Trigger, Verdict};
use crate::effect::{IntentId, IntentState};
use crate::event::Signal;
use crate::incident::{Incident, IncidentId};
use crate::node::NodeId;
use crate::observe::{Look, Observation};
use crate::plan::{self, Opening, OperatorAnswer, Plan, Told, Wants};
use crate::ports::{
    Commit, Committed, Expect, Key, Loaded, OutboxItem, Perform, Performed, PortError, Post, ReportId, Shelve, Survey,
    Switch,
};
use crate::report::{Report, ReportKind};
use crate::storm::{self, Around, Digest, Limits, News};
use crate::time::secs_between;

/// Lost compare-and-sets after which a pass leaves it to its next trigger.
const TRIES_MAX: u8 = 4;
/// A policy that was read holds for so many seconds, until the look that a decision rests on; nothing is sent long after that.
const POLICY_HOLDS_SECS: i64 = 30;

/// One pass. Owns everything it needs between two requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pass {
    context: Arc<Context>,
    trigger: Trigger,
    /// When it began, right after its policy was read.
    began: Option<Timestamp>,
    tries: u8,
    stage: Stage,
    loaded: Option<Box<Loaded>>,
    /// Reports that are saved and not yet marked as sent.
    outbox: VecDeque<Arc<OutboxItem>>,
    /// The incident as last saved or loaded.
    saved: Option<Arc<Incident>>,
    /// The node's last incident, as loaded.
    last: Option<IncidentId>,
    /// What became of an effect, until it is saved. Intents are counted in each incident, so its name alone would also fit
    /// another one that opened on the node meanwhile.
    unsettled: Option<(IncidentId, IntentId, Performed)>,
    /// What else goes on in the account.
    around: Option<Arc<Around>>,
    /// Digests that are saved and not yet marked as sent.
    digests: VecDeque<Arc<Digest>>,
    /// Passes that follow from a sweep.
    follow: Vec<Trigger>,
}

/// What the pass waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Stage {
    Begin,
    Loading,
    Observing,
    Committing(Arc<Commit>, Option<Arc<Perform>>),
    /// A planted bug: the effect goes first.
    #[cfg(feature = "plants")]
    PerformingFirst(Arc<Commit>, Arc<Perform>),
    /// A planted bug: the reports go first.
    #[cfg(feature = "plants")]
    PublishingFirst(Arc<Commit>, Option<Arc<Perform>>),
    Performing(Arc<Perform>),
    Publishing,
    Marking(ReportId),
    Surveying,
    Shelving,
    Posting(Arc<Post>),
    PublishingDigest,
    MarkingDigest,
    Switching,
    Over,
}

impl Pass {
    /// A pass that has not begun. Boxed, because it is handed on at every step.
    #[must_use]
    pub fn new(context: Arc<Context>, trigger: Trigger) -> Box<Self> {
        Box::new(Self {
            context,
            trigger,
            began: None,
            tries: 0,
            stage: Stage::Begin,
            loaded: None,
            outbox: VecDeque::new(),
            saved: None,
            last: None,
            unsettled: None,
            around: None,
            digests: VecDeque::new(),
            follow: Vec::new(),
        })
    }

    /// Whether it has stood still for so long that it does not look any more: people may have changed the policy since.
    #[must_use]
    pub fn is_old(&self, now: Timestamp) -> bool {
        self.began.is_some_and(|began| secs_between(began, now) > POLICY_HOLDS_SECS)
    }

    /// Why it began.
    #[must_use]
    pub fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// Takes the answer to the last request, and says what is needed next.
    ///
    /// `now` is the moment of the answer. An answer that does not fit the request ends the pass, to be tried again.
    #[must_use]
    pub fn step(mut self: Box<Self>, answer: Answer, now: Timestamp) -> (Box<Self>, Request) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        match (stage, answer) {
            (Stage::Begin, Answer::Start) => {
                self.began = Some(now);
                self.begin()
            }
            (Stage::Loading, Answer::Loaded(loaded)) => self.loaded(loaded, now),
            (Stage::Observing, Answer::Observed(seen)) => self.observed(&seen, now),
            (Stage::Committing(commit, perform), Answer::Committed(how)) => self.committed(&commit, perform, how, now),
            (Stage::Performing(perform), Answer::Performed(how)) => self.performed(&perform, how, now),
            #[cfg(feature = "plants")]
            (Stage::PerformingFirst(commit, _), Answer::Performed(_)) => {
                self.stage = Stage::Committing(Arc::clone(&commit), None);
                (self, Request::Commit(commit))
            }
            #[cfg(feature = "plants")]
            (Stage::PublishingFirst(commit, perform), Answer::Ok) => {
                self.stage = Stage::Committing(Arc::clone(&commit), perform);
                (self, Request::Commit(commit))
            }
            (Stage::Publishing, Answer::Ok) => self.published(),
            (Stage::Marking(id), Answer::Ok) => {
                self.outbox.retain(|item| item.id != id);
                self.publish_next()
            }
            (Stage::Surveying, Answer::Surveyed(survey)) => self.surveyed(&survey, now),
            (Stage::Shelving, Answer::Ok) => self.done(Verdict::Ignored(IgnoreReason::NoRoom)),
            (Stage::Posting(post), Answer::Committed(Committed::Saved)) => {
                self.digests.extend(post.digests.iter().cloned());
                self.publish_next_digest()
            }
            // Another sweep was faster, or people cannot be told now: the next sweep does. The nodes are looked at all the same.
            (
                Stage::Posting(_) | Stage::PublishingDigest | Stage::MarkingDigest,
                Answer::Committed(_) | Answer::Failed(_),
            ) => self.swept(),
            (Stage::PublishingDigest, Answer::Ok) => self.published_digest(),
            (Stage::MarkingDigest, Answer::Ok) => {
                self.digests.pop_front();
                self.publish_next_digest()
            }
            (Stage::Switching, Answer::Ok) => self.switched(),
            (_, Answer::Failed(error)) => self.done(Verdict::Retry(error)),
            _ => self.done(Verdict::Retry(PortError::Transient)),
        }
    }

    fn begin(mut self: Box<Self>) -> (Box<Self>, Request) {
        let key = match &self.trigger {
            Trigger::Signal(signal) => Key::Node(signal.node),
            Trigger::Wake(id) => Key::Incident(*id),
            Trigger::Operator(OperatorRequest { action, .. }) => match action {
                Action::Fix(node, _) | Action::Preview(node, _) => Key::Node(*node),
                Action::Approve(id) | Action::Close(id) => Key::Incident(*id),
                Action::Switch(switch) => {
                    let switch = *switch;
                    self.stage = Stage::Switching;
                    return (self, Request::Switch(switch));
                }
            },
            Trigger::Sweep => {
                self.stage = Stage::Surveying;
                return (self, Request::Survey);
            }
        };
        self.stage = Stage::Loading;
        (self, Request::Load(key))
    }

    /// A switch was changed.
    fn switched(mut self: Box<Self>) -> (Box<Self>, Request) {
        if let Trigger::Operator(OperatorRequest { action: Action::Switch(Switch::Clear(node)), .. }) = self.trigger {
            self.stage = Stage::Loading;
            return (self, Request::Load(Key::Node(node)));
        }
        self.done(Verdict::Progress)
    }

    fn loaded(mut self: Box<Self>, loaded: Box<Loaded>, now: Timestamp) -> (Box<Self>, Request) {
        for item in &loaded.unsent {
            if self.outbox.iter().all(|known| known.id != item.id) {
                #[cfg(feature = "plants")]
                if crate::plants::on(crate::plants::Plant::NewReportId) {
                    let mut again = (**item).clone();
                    again.id.n = again.id.n.saturating_add(1_000);
                    self.outbox.push_back(Arc::new(again));
                    continue;
                }
                self.outbox.push_back(Arc::clone(item));
            }
        }
        self.saved.clone_from(&loaded.incident);
        self.last = loaded.last.as_ref().map(|last| last.id);
        self.around.clone_from(&loaded.rails.around);
        let incident = loaded.incident.clone();
        // Somebody else saved something while the effect was sent: what became of it is still worth saving.
        if let (Some((of, intent, _)), Some(incident)) = (&self.unsettled, &incident)
            && incident.id == *of
            && incident.phase.intent().is_some_and(|i| i.id == *intent && i.state == IntentState::Pending)
        {
            return self.settle(now);
        }
        let (node, look) = match (&self.trigger, incident) {
            (Trigger::Signal(signal), None) => match plan::admit(signal, &loaded, &self.context, now) {
                Ok(look) => (signal.node, look),
                Err(IgnoreReason::NoRoom) => {
                    let signal = signal.clone();
                    return self.shelve(signal);
                }
                Err(reason) => return self.done(Verdict::Ignored(reason)),
            },
            (Trigger::Signal(signal), Some(incident)) => {
                let signal = signal.clone();
                return self.told(&signal, &incident, loaded, now);
            }
            (Trigger::Wake(_), Some(incident)) => {
                let policy = self.context.policy_for(None, Some(&incident.place));
                let wants = plan::wants(&incident, &policy, now);
                let no_room = match &wants {
                    Wants::Look(_) => plan::wait_for_room(&incident, &loaded.rails, &policy, now),
                    Wants::Wait(_) => None,
                };
                drop(policy);
                match (wants, no_room) {
                    (_, Some(plan)) => return self.commit(*plan),
                    (Wants::Look(look), None) => (incident.node, look),
                    (Wants::Wait(_), None) if incident.is_closed() => return self.publish_next(),
                    (Wants::Wait(wake_at), None) => return self.done_at(Verdict::Progress, wake_at),
                }
            }
            (Trigger::Wake(_), None) => return self.done(Verdict::Ignored(IgnoreReason::NothingOpen)),
            (Trigger::Operator(request), incident) => {
                let request = request.clone();
                return self.operator(&request, incident.as_deref(), loaded, now);
            }
            (Trigger::Sweep, _) => return self.done(Verdict::Progress),
        };
        self.look(loaded, node, look, now)
    }

    /// Asks for a look at a node, unless people may have changed the policy since it was read.
    fn look(
        mut self: Box<Self>,
        loaded: Box<Loaded>,
        node: NodeId,
        look: Look,
        now: Timestamp,
    ) -> (Box<Self>, Request) {
        if self.is_old(now) {
            return self.done(Verdict::Retry(PortError::Transient));
        }
        self.loaded = Some(loaded);
        self.stage = Stage::Observing;
        (self, Request::Observe(node, look))
    }

    /// A signal about a node with an open incident.
    fn told(
        self: Box<Self>,
        signal: &Signal,
        incident: &Incident,
        loaded: Box<Loaded>,
        now: Timestamp,
    ) -> (Box<Self>, Request) {
        match plan::told(signal, incident, &self.context, now) {
            Told::Symptom(plan) => self.commit(*plan),
            Told::Look(look) => self.look(loaded, incident.node, look, now),
            Told::Nothing => self.done(Verdict::Progress),
        }
    }

    fn operator(
        self: Box<Self>,
        request: &OperatorRequest,
        incident: Option<&Incident>,
        loaded: Box<Loaded>,
        now: Timestamp,
    ) -> (Box<Self>, Request) {
        let answer = match (request.action, incident) {
            (Action::Fix(node, _), incident) => {
                return self.look(loaded, node, plan::fix_look(incident, now), now);
            }
            (Action::Preview(node, _), incident) => {
                let look = plan::preview_look(incident, &self.context, now);
                return self.look(loaded, node, look, now);
            }
            (Action::Approve(_), Some(incident)) => {
                let policy = self.context.policy_for(None, Some(&incident.place));
                plan::approve(incident, &policy, &request.by, request.at, now)
            }
            (Action::Close(_), Some(incident)) => {
                let policy = self.context.policy_for(None, Some(&incident.place));
                plan::close(incident, &policy, &request.by, now)
            }
            (Action::Approve(id) | Action::Close(id), None) => OperatorAnswer::Refused(format!("there is no {id}")),
            // What rests because of the quarantine goes on at once.
            (Action::Switch(Switch::Clear(_)), Some(incident)) => {
                let wake = Trigger::Wake(incident.id);
                let (pass, request) = self.done(Verdict::Progress);
                return (pass, followed_by(request, wake));
            }
            (Action::Switch(_), _) => return self.done(Verdict::Progress),
        };
        self.answered(answer)
    }

    fn answered(self: Box<Self>, answer: OperatorAnswer) -> (Box<Self>, Request) {
        match answer {
            OperatorAnswer::Plan(plan) => self.commit(*plan),
            OperatorAnswer::Refused(why) => self.done(Verdict::Refused(why)),
        }
    }

    fn observed(mut self: Box<Self>, seen: &Arc<Observation>, now: Timestamp) -> (Box<Self>, Request) {
        let Some(loaded) = self.loaded.take() else { return self.done(Verdict::Retry(PortError::Transient)) };
        match (&self.trigger, &loaded.incident) {
            (Trigger::Operator(OperatorRequest { by, action: Action::Fix(_, remedy), plan, .. }), _) => {
                let answer = plan::fix(seen, &loaded, &self.context, (by, *remedy, *plan), now);
                self.answered(answer)
            }
            (Trigger::Operator(OperatorRequest { action: Action::Preview(_, remedy), .. }), _) => {
                match plan::preview(seen, &loaded, &self.context, *remedy, now) {
                    Ok(preview) => self.done(Verdict::Planned(Arc::new(preview))),
                    Err(why) => self.done(Verdict::Refused(why)),
                }
            }
            (_, Some(incident)) => {
                let node = incident.node;
                let (plan, deeper) = {
                    let policy = self.context.policy_for(Some(seen), Some(&incident.place));
                    let incident = plan::informed(incident, loaded.last.as_ref());
                    let plan = plan::decide(&incident, seen, &loaded.rails, &policy, now);
                    // Whatever answers may not know how to look any deeper: it is asked once for each depth.
                    let deeper = plan.deeper.filter(|depth| *depth > seen.depth);
                    let deeper = deeper.map(|depth| plan::deeper(&incident, seen, &policy, depth, now));
                    (plan, deeper)
                };
                match deeper {
                    Some(look) => self.look(loaded, node, look, now),
                    None => self.commit(plan),
                }
            }
            (Trigger::Signal(signal), None) => match plan::open(signal, seen, &loaded, &self.context, now) {
                Opening::Ignore(IgnoreReason::NotSeen) => self.done(Verdict::Retry(PortError::Transient)),
                Opening::Ignore(reason) => self.done(Verdict::Ignored(reason)),
                Opening::Open(plan) => self.commit(*plan),
            },
            (_, None) => self.done(Verdict::Ignored(IgnoreReason::NothingOpen)),
        }
    }

    /// Asks for a plan to be saved, with its reports, in one transaction.
    fn commit(mut self: Box<Self>, plan: Plan) -> (Box<Self>, Request) {
        if !plan.changed {
            return self.publish_next();
        }
        let before = self.saved.as_ref().filter(|saved| saved.id == plan.next.id);
        let expect = before.map_or(Expect::NoOpenIncident { last: self.last }, |saved| Expect::Version(saved.version));
        let Plan { mut next, permits, reports, perform, quarantine, troubled, tried, .. } = plan;
        next.version = before.map_or(1, |saved| saved.version.saturating_add(1));
        let first = next.reports.saturating_sub(u32::try_from(reports.len()).unwrap_or(0));
        let at = next.history.last().map_or(next.first_seen, |entry| entry.at);
        let next = Arc::new(*next);
        let mode = self.context.policy_for(None, Some(&next.place)).mode;
        let outbox = (first.saturating_add(1)..)
            .zip(reports)
            .map(|(n, kind)| {
                let report = Report { kind, at, mode, incident: Arc::clone(&next) };
                let id = ReportId { incident: next.id, outcome: report.outcome(), n };
                let gather = match kind {
                    // Somebody is asked and must answer.
                    ReportKind::NeedsApproval => None,
                    ReportKind::Ended | ReportKind::NeedsHuman | ReportKind::Reminder => {
                        self.around.as_ref().and_then(|around| around.gather(&next))
                    }
                };
                Arc::new(OutboxItem { id, report, gather })
            })
            .collect();
        #[cfg(feature = "plants")]
        let outbox = if crate::plants::on(crate::plants::Plant::ForgetReport) { Vec::new() } else { outbox };
        let news = News { troubled, tried, limits: Limits::of(&self.context.policy) };
        let commit = Arc::new(Commit { expect, next, permits, outbox, news, quarantine });
        planted!(PerformBeforeCommit => if let Some(perform) = perform {
            self.stage = Stage::PerformingFirst(commit, Arc::clone(&perform));
            return (self, Request::Perform(perform));
        });
        planted!(PublishBeforeCommit => if let Some(item) = commit.outbox.first() {
            let request = Request::Publish(Arc::clone(item));
            self.stage = Stage::PublishingFirst(commit, perform);
            return (self, request);
        });
        self.stage = Stage::Committing(Arc::clone(&commit), perform);
        (self, Request::Commit(commit))
    }

    fn committed(
        mut self: Box<Self>,
        commit: &Commit,
        perform: Option<Arc<Perform>>,
        how: Committed,
        now: Timestamp,
    ) -> (Box<Self>, Request) {
        #[cfg(feature = "plants")]
        let how = match how {
            Committed::Conflict
                if perform.is_some() && crate::plants::on(crate::plants::Plant::PerformAfterConflict) =>
            {
                Committed::Saved
            }
            how => how,
        };
        match how {
            Committed::Saved => {
                self.saved = Some(Arc::clone(&commit.next));
                self.outbox.extend(commit.outbox.iter().filter(|item| item.gather.is_none()).cloned());
                self.unsettled = None;
                match perform {
                    // Reads and commit took too long: it is not sent any more.
                    #[cfg(feature = "plants")]
                    Some(perform) if crate::plants::on(crate::plants::Plant::NoPrecheck) => {
                        let request = Request::Perform(Arc::clone(&perform));
                        self.stage = Stage::Performing(perform);
                        (self, request)
                    }
                    Some(perform) if now > perform.not_after => {
                        self.unsettled = Some((perform.incident, perform.intent, Performed::TooLate));
                        self.settle(now)
                    }
                    Some(perform) => {
                        let request = Request::Perform(Arc::clone(&perform));
                        self.stage = Stage::Performing(perform);
                        (self, request)
                    }
                    None => self.publish_next(),
                }
            }
            Committed::Conflict => {
                self.tries = self.tries.saturating_add(1);
                if self.tries >= TRIES_MAX {
                    return self.done(Verdict::Retry(PortError::Transient));
                }
                self.loaded = None;
                self.begin()
            }
            Committed::Refused(refusal) => {
                let Some(saved) = self.saved.clone() else { return self.done(Verdict::Retry(PortError::Transient)) };
                self.tries = self.tries.saturating_add(1);
                if self.tries >= TRIES_MAX {
                    return self.done(Verdict::Retry(PortError::Transient));
                }
                let plan = {
                    let policy = self.context.policy_for(None, Some(&saved.place));
                    plan::refused(&saved, refusal, &policy, now)
                };
                self.commit(plan)
            }
        }
    }

    fn performed(mut self: Box<Self>, perform: &Perform, how: Performed, now: Timestamp) -> (Box<Self>, Request) {
        self.unsettled = Some((perform.incident, perform.intent, how));
        self.settle(now)
    }

    fn settle(self: Box<Self>, now: Timestamp) -> (Box<Self>, Request) {
        let (Some(saved), Some((_, _, how))) = (self.saved.clone(), &self.unsettled) else {
            return self.done(Verdict::Retry(PortError::Transient));
        };
        let plan = {
            let policy = self.context.policy_for(None, Some(&saved.place));
            plan::settle(&saved, how, &policy, now)
        };
        self.commit(plan)
    }

    /// Publishes the next saved report, or ends.
    fn publish_next(mut self: Box<Self>) -> (Box<Self>, Request) {
        if let Some(item) = self.outbox.front() {
            let request = Request::Publish(Arc::clone(item));
            self.stage = Stage::Publishing;
            return (self, request);
        }
        self.done(Verdict::Progress)
    }

    fn published(mut self: Box<Self>) -> (Box<Self>, Request) {
        let Some(id) = self.outbox.front().map(|item| item.id) else { return self.done(Verdict::Progress) };
        planted!(NeverMarkSent => {
            self.outbox.pop_front();
            return self.publish_next();
        });
        planted!(NewReportId => {
            self.stage = Stage::Marking(id);
            return (self, Request::MarkSent(ReportId { n: id.n % 1_000, ..id }));
        });
        self.stage = Stage::Marking(id);
        (self, Request::MarkSent(id))
    }

    /// Lets a node wait for a place: nobody looks at it now.
    fn shelve(mut self: Box<Self>, signal: Signal) -> (Box<Self>, Request) {
        let troubled = signal.kind.is_beyond_a_blip();
        let news = News { troubled, tried: Vec::new(), limits: Limits::of(&self.context.policy) };
        self.stage = Stage::Shelving;
        (self, Request::Shelve(Box::new(Shelve { signal, news })))
    }

    fn surveyed(mut self: Box<Self>, survey: &Survey, now: Timestamp) -> (Box<Self>, Request) {
        #[cfg(feature = "plants")]
        let survey = &match crate::plants::chosen() {
            Some(crate::plants::Plant::NoSweep) => {
                Survey { troubled: Vec::new(), waiting: Vec::new(), ..survey.clone() }
            }
            Some(crate::plants::Plant::SlowSweep) if now.as_second() / 300 % 3 != 0 => {
                Survey { troubled: Vec::new(), waiting: Vec::new(), ..survey.clone() }
            }
            Some(crate::plants::Plant::NoOverdue) => Survey { overdue: Vec::new(), ..survey.clone() },
            _ => survey.clone(),
        };
        let swept = storm::sweep(survey, &self.context, now);
        self.follow = swept.follow;
        self.digests = survey.digests.iter().cloned().collect();
        match swept.post {
            Some(post) => {
                let post = Arc::new(post);
                self.stage = Stage::Posting(Arc::clone(&post));
                (self, Request::Post(post))
            }
            None => self.publish_next_digest(),
        }
    }

    /// Publishes the next saved digest, or ends the sweep.
    fn publish_next_digest(mut self: Box<Self>) -> (Box<Self>, Request) {
        let Some(digest) = self.digests.front() else { return self.swept() };
        let request = Request::PublishDigest(Arc::clone(digest));
        self.stage = Stage::PublishingDigest;
        (self, request)
    }

    fn published_digest(mut self: Box<Self>) -> (Box<Self>, Request) {
        let Some(id) = self.digests.front().map(|digest| digest.id) else { return self.swept() };
        self.stage = Stage::MarkingDigest;
        (self, Request::MarkDigestSent(id))
    }

    fn swept(mut self: Box<Self>) -> (Box<Self>, Request) {
        self.stage = Stage::Over;
        let follow = std::mem::take(&mut self.follow);
        let done = Done { incident: None, wake_at: None, verdict: Verdict::Progress, follow };
        (self, Request::Done(done))
    }

    fn done(self: Box<Self>, verdict: Verdict) -> (Box<Self>, Request) {
        let wake_at = self.saved.as_ref().and_then(|saved| saved.wake_at);
        self.done_at(verdict, wake_at)
    }

    fn done_at(mut self: Box<Self>, verdict: Verdict, wake_at: Option<Timestamp>) -> (Box<Self>, Request) {
        self.stage = Stage::Over;
        let incident: Option<IncidentId> = self.saved.as_ref().map(|saved| saved.id);
        let closed = self.saved.as_ref().is_some_and(|saved| saved.is_closed());
        let verdict = if closed && verdict == Verdict::Progress { Verdict::Closed } else { verdict };
        let done = Done { incident, wake_at: wake_at.filter(|_| !closed), verdict, follow: Vec::new() };
        (self, Request::Done(done))
    }
}

/// The end of a pass, with one more that follows from it.
fn followed_by(request: Request, next: Trigger) -> Request {
    match request {
        Request::Done(mut done) => {
            done.follow.push(next);
            Request::Done(done)
        }
        other => other,
    }
}
