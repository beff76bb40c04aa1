//! What can happen next, and what it leads to.

use std::sync::Arc;

use defib::engine::{Action, Answer, Context, Done, OperatorRequest, Pass, Request, Trigger, Verdict};
use defib::event::Signal;
use defib::incident::Phase;
use defib::node::NodeId;
use defib::ports::{Commit, Committed, Expect, Found, Perform, Performed, ReportId, Survey, Switch};
use defib::storm::{Around, Baseline, Bulletin};
use defib::time::{after, secs_between};
use jiff::Timestamp;

use super::node::Node;
use super::state::{LATE_SECS, Late, Running, Sight, State};
use super::tally::Tally;

/// Something that can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// An invocation starts, reads the ledger and looks at the node.
    Start(Start),
    /// The same, but the services that know the agents do not answer.
    StartBlindly(Start),
    /// What an invocation asked for is done and answered, and it goes on to its next change.
    Answer(usize),
    /// A commit is saved, and the invocation dies before it has told anybody.
    DieUntold(usize),
    /// A commit is saved and people are told, and the invocation dies before that is marked.
    DieUnmarked(usize),
    /// AWS refuses an effect.
    Refuse(usize),
    /// An effect is sent and gets no answer; whether it lands is another step.
    LoseAnswer(usize),
    /// An invocation dies between two changes.
    Die(usize),
    /// An effect lands though nobody waits for its answer any more.
    LandLate(usize),
    /// Nothing happens for so many seconds.
    Wait(i64),
    /// The same, and then a node recovers by itself.
    WaitUntilWell(i64, usize),
}

/// Why an invocation starts. Numbers name nodes, and incidents by their age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// An event tells of trouble, or tells it again.
    Signal(usize),
    /// An event tells that the node is well.
    Recovery(usize),
    /// The sweep found the node in trouble.
    Sweep(usize),
    /// The timer of an incident, in time or much later, once or twice; or the sweep on its behalf.
    Wake(usize),
    /// A person asks for a repair.
    Fix(usize),
    /// A person pauses everything.
    Pause,
    /// A person lets everything run again.
    Resume,
}

/// What may happen in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// How many invocations may start that change something.
    pub(crate) started: u8,
    /// How many things may go wrong with them.
    pub(crate) mishaps: u8,
}

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Well,
    Blindly,
    Refused,
    Lost,
}

/// How far an invocation comes once its commit is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Lives,
    DiesUntold,
    DiesUnmarked,
}

/// How many invocations may run at the same time.
const AT_ONCE: usize = 2;

/// What can happen in a state.
pub(crate) fn possible(state: &State, bounds: Bounds, steps: &mut Vec<Step>) {
    if state.broken.is_some() {
        return;
    }
    let mishap = state.mishaps < bounds.mishaps;
    for (index, running) in state.running.iter().enumerate() {
        steps.push(Step::Answer(index));
        if !mishap {
            continue;
        }
        match &running.request {
            Request::Perform(perform) if state.now <= perform.not_after => {
                steps.push(Step::LoseAnswer(index));
                steps.push(Step::Refuse(index));
            }
            Request::Commit(commit) if !commit.outbox.is_empty() || !running.untold.is_empty() => {
                steps.push(Step::DieUntold(index));
                steps.push(Step::DieUnmarked(index));
            }
            _ => {}
        }
        // Before it has changed anything its death is as if it had never been started.
        if running.wrote {
            steps.push(Step::Die(index));
        }
    }
    steps.extend((0..state.late.len()).map(Step::LandLate));
    let may_start = state.started < bounds.started;
    if may_start && state.running.len() < AT_ONCE {
        for start in starts(state) {
            steps.push(Step::Start(start));
            if mishap && !matches!(start, Start::Pause | Start::Resume) {
                steps.push(Step::StartBlindly(start));
            }
        }
    }
    let goes_on = may_start || !state.running.is_empty();
    let standing = state.running.iter().filter(|running| !running.stands).count();
    if (goes_on || !state.late.is_empty())
        && usize::from(state.mishaps) + standing <= usize::from(bounds.mishaps)
        && let Some(next) = state.next_moment()
    {
        let secs = secs_between(state.now, next);
        steps.push(Step::Wait(secs));
        if goes_on {
            let ill = state.nodes.iter().enumerate().filter(|(_, node)| node.can_recover());
            steps.extend(ill.map(|(index, _)| Step::WaitUntilWell(secs, index)));
        }
    }
}

/// The invocations that can start.
fn starts(state: &State) -> Vec<Start> {
    let mut starts = Vec::with_capacity(8);
    for (index, incident) in state.ledger.incidents().enumerate() {
        let untold = state.ledger.unsent().iter().any(|item| item.id.incident == incident.id);
        let due = incident.wake_at.is_some_and(|wake| wake <= state.now);
        if due || incident.is_closed() && untold {
            starts.push(Start::Wake(index));
        }
    }
    for (index, node) in state.nodes.iter().enumerate() {
        starts.push(Start::Signal(index));
        match state.ledger.open_on(node.id) {
            Some(open) => {
                // In the middle of a treatment it leads to nothing.
                if matches!(open.phase, Phase::Watching { .. } | Phase::Resting { .. }) {
                    starts.push(Start::Recovery(index));
                }
            }
            None => starts.push(Start::Sweep(index)),
        }
        if !state.asked {
            starts.push(Start::Fix(index));
        }
    }
    starts.push(if state.is_paused() { Start::Resume } else { Start::Pause });
    starts
}

/// What follows; none where nothing does.
pub(crate) fn take(state: &State, step: Step, context: &Arc<Context>, tally: &Tally) -> Option<State> {
    let mut next = state.clone();
    match step {
        Step::Start(start) => next.start(context, start, How::Well, tally)?,
        Step::StartBlindly(start) => next.start(context, start, How::Blindly, tally)?,
        Step::Answer(index) => next.answer(index, How::Well, Life::Lives, tally),
        Step::DieUntold(index) => next.answer(index, How::Well, Life::DiesUntold, tally),
        Step::DieUnmarked(index) => next.answer(index, How::Well, Life::DiesUnmarked, tally),
        Step::Refuse(index) => next.answer(index, How::Refused, Life::Lives, tally),
        Step::LoseAnswer(index) => next.answer(index, How::Lost, Life::Lives, tally),
        Step::Die(index) => {
            next.running.remove(index);
        }
        Step::LandLate(index) => {
            let late = next.late.remove(index);
            tally.late();
            next.land(&late.perform);
        }
        Step::Wait(secs) => next.wait(after(state.now, secs)),
        Step::WaitUntilWell(secs, index) => {
            next.wait(after(state.now, secs));
            let node = &mut next.nodes[index];
            if !node.can_recover() {
                return None;
            }
            node.recover(next.now);
        }
    }
    let goes_wrong = match step {
        Step::Start(_) | Step::Answer(_) | Step::LandLate(_) | Step::Wait(_) | Step::WaitUntilWell(..) => 0,
        Step::StartBlindly(_)
        | Step::DieUntold(_)
        | Step::DieUnmarked(_)
        | Step::Refuse(_)
        | Step::LoseAnswer(_)
        | Step::Die(_) => 1,
    };
    next.mishaps += goes_wrong;
    next.let_losers_lose(tally);
    Some(next)
}

fn commit_of(running: &Running) -> &Commit {
    let Request::Commit(commit) = &running.request else { panic!("it asks for something else") };
    commit
}

fn operator(action: Action, at: Timestamp) -> Trigger {
    Trigger::Operator(OperatorRequest { by: Arc::from("ops"), action, at, plan: None })
}

impl State {
    /// Time passes. What was sent so long ago lands no more.
    pub(crate) fn wait(&mut self, until: Timestamp) {
        for running in self.running.iter_mut().filter(|running| !running.stands) {
            Arc::make_mut(running).stands = true;
            self.mishaps += 1;
        }
        self.now = self.now.max(until);
        let now = self.now;
        self.late.retain(|late| now <= after(late.sent_at, LATE_SECS));
        for node in &mut self.nodes {
            node.come_to(now);
        }
    }

    /// An invocation starts. None: it came to nothing, as if it had never been.
    fn start(&mut self, context: &Arc<Context>, start: Start, how: How, tally: &Tally) -> Option<()> {
        let (now, nodes) = (self.now, &self.nodes);
        let trigger = match start {
            Start::Signal(index) => Trigger::Signal(nodes[index].signal(now)),
            Start::Recovery(index) => Trigger::Signal(nodes[index].recovery(now)),
            Start::Sweep(index) => self.sweep(context, nodes[index].id)?,
            Start::Wake(index) => Trigger::Wake(self.ledger.incidents().nth(index)?.id),
            Start::Fix(index) => operator(Action::Fix(nodes[index].id, None), now),
            Start::Pause => operator(Action::Switch(Switch::Pause), now),
            Start::Resume => operator(Action::Switch(Switch::Resume), now),
        };
        self.asked |= matches!(start, Start::Fix(_));
        self.started += 1;
        let running = self.go_on(Running::new(context, trigger, now), how, Life::Lives, tally);
        // Where nothing was looked at, a blind look is no other look.
        let looked = running.sight.is_some() || how == How::Well;
        (self.put_back(running) && looked).then_some(())
    }

    /// The sweep itself changes nothing; what it finds is one more invocation.
    fn sweep(&self, context: &Arc<Context>, node: NodeId) -> Option<Trigger> {
        let (pass, request) = Pass::new(Arc::clone(context), Trigger::Sweep).step(Answer::Start, self.now);
        let Request::Survey = request else { return None };
        let troubled = self.nodes.iter().filter(|node| !self.ledger.has_open(node.id));
        let found = |signal: Signal| Found { signal, since: None, last: None };
        let troubled = troubled.filter_map(|node| node.swept(self.now)).map(found).collect();
        // Not the first sweep after a deployment, and nothing new about the account: nothing is saved about many nodes here.
        let fleet = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let baseline = Some(Baseline { at: self.now, nodes: Vec::new() });
        let bulletin = Arc::new(Bulletin { fleet, baseline, ..Bulletin::default() });
        let around = Arc::new(Around { bulletin, ..Around::nothing() });
        let survey = Survey { troubled, overdue: self.ledger.overdue(self.now), fleet, around, ..Survey::default() };
        let (_, request) = pass.step(Answer::Surveyed(Box::new(survey)), self.now);
        let Request::Done(done) = request else { return None };
        done.follow.into_iter().find(|found| matches!(found, Trigger::Signal(signal) if signal.node == node))
    }

    fn switch(&mut self, switch: Switch) {
        self.ledger.switch(switch);
        match switch {
            Switch::Pause => self.paused_since = Some(self.now),
            Switch::Resume => self.paused_since = None,
            Switch::Mute(..) | Switch::Unmute(_) | Switch::Clear(_) => {}
        }
    }

    /// Keeps an invocation that is not over; says whether there is anything to be seen of it.
    ///
    /// One that ended without having changed anything is as if it had never been.
    fn put_back(&mut self, running: Running) -> bool {
        if matches!(running.request, Request::Done(_)) {
            return running.wrote;
        }
        self.running.push(Arc::new(running));
        true
    }

    /// Lets every invocation that will lose its next compare-and-set lose it now, if all it leads to is its end: what it
    /// would do can be seen no earlier and changes nothing later.
    fn let_losers_lose(&mut self, tally: &Tally) {
        let mut index = 0;
        while let Some(running) = self.running.get(index) {
            let is_beaten = match &running.request {
                Request::Commit(commit) if running.performed.is_none() => !self.still_so(commit),
                _ => false,
            };
            if is_beaten && self.ledger.clone().commit(commit_of(running), self.now) == Committed::Conflict {
                let beaten = Arc::unwrap_or_clone(self.running.remove(index));
                let beaten = beaten.take(Answer::Committed(Committed::Conflict), self.now);
                tally.conflict();
                // A planted bug goes on all the same.
                if matches!(beaten.request, Request::Load(_) | Request::Done(_)) {
                    self.started -= u8::from(!beaten.wrote);
                    continue;
                }
                self.running.insert(index, Arc::new(beaten));
            }
            index += 1;
        }
    }

    /// Whether nobody has saved anything since a commit was decided.
    pub(crate) fn still_so(&self, commit: &Commit) -> bool {
        match commit.expect {
            Expect::NoOpenIncident { last } => {
                !self.ledger.has_open(commit.next.node) && self.ledger.last_on(commit.next.node) == last
            }
            Expect::Version(version) => {
                self.ledger.incident(commit.next.id).is_some_and(|stored| stored.version == version)
            }
        }
    }

    fn answer(&mut self, index: usize, how: How, life: Life, tally: &Tally) {
        let mut running = Arc::unwrap_or_clone(self.running.remove(index));
        running.stands = false;
        let answer = self.answer_to(&mut running, how, tally);
        let running = running.take(answer, self.now);
        let running = self.go_on(running, How::Well, life, tally);
        if !self.put_back(running) {
            self.started -= 1;
        }
    }

    /// Goes on to the next change: reads and looks follow one another at once, and so do telling and marking.
    fn go_on(&mut self, mut running: Running, how: How, life: Life, tally: &Tally) -> Running {
        loop {
            match &running.request {
                // Whoever lost and has nothing of its own to save begins anew: that is what another invocation does.
                Request::Load(_) if running.tries > 0 && running.performed.is_none() => return running.dead(),
                Request::Observe(..) if running.tries > 0 => return running.dead(),
                Request::Publish(_) if life == Life::DiesUntold => return running.dead(),
                Request::MarkSent(_) if life == Life::DiesUnmarked => return running.dead(),
                Request::Load(_)
                | Request::Observe(..)
                | Request::Publish(_)
                | Request::MarkSent(_)
                | Request::Survey
                | Request::Shelve(_)
                | Request::Post(_)
                | Request::PublishDigest(_)
                | Request::MarkDigestSent(_)
                | Request::Switch(_) => {}
                Request::Commit(_) | Request::Perform(_) | Request::Done(_) => return running,
            }
            let answer = self.answer_to(&mut running, how, tally);
            running = running.take(answer, self.now);
        }
    }

    /// Answers what an invocation asks for.
    fn answer_to(&mut self, running: &mut Running, how: How, tally: &Tally) -> Answer {
        match &running.request {
            Request::Load(key) => {
                let loaded = self.ledger.load(*key);
                running.saved.clone_from(&loaded.incident);
                running.carry(loaded.unsent.iter().map(|item| item.id));
                Answer::Loaded(Box::new(loaded))
            }
            Request::Observe(id, look) => {
                let blind = how == How::Blindly;
                running.sight = Some(Sight { at: self.now, blind });
                let node = self.nodes.iter().find(|node| node.id == *id).expect("nobody looks at other nodes");
                let seen = if blind { node.look_blindly(look, self.now) } else { node.look(look, self.now) };
                Answer::Observed(Arc::new(seen))
            }
            Request::Commit(commit) => {
                let committed = self.ledger.commit(commit, self.now);
                match &committed {
                    Committed::Saved => {
                        running.wrote = true;
                        running.performed = None;
                        running.saved = Some(Arc::clone(&commit.next));
                        let ids: Vec<_> = commit.outbox.iter().map(|item| item.id).collect();
                        self.judge_saved(commit);
                        running.carry(ids.into_iter());
                    }
                    Committed::Conflict => {
                        running.tries += 1;
                        tally.conflict();
                    }
                    Committed::Refused(_) => {
                        running.tries += 1;
                        tally.refusal();
                    }
                }
                Answer::Committed(committed)
            }
            Request::Perform(perform) => {
                running.wrote = true;
                let perform = perform.clone();
                let sight = running.sight;
                let performed = self.perform(&perform, sight, how);
                let how = match &performed {
                    Performed::Done { .. } => 0,
                    Performed::Refused => 1,
                    Performed::TooLate => 2,
                    Performed::Unknown => 3,
                };
                running.performed = Some((perform.intent, how));
                running.sight = None;
                Answer::Performed(performed)
            }
            Request::Publish(item) => {
                running.wrote = true;
                let item = Arc::clone(item);
                self.judge_telling(&item);
                if !self.published.contains(&item.id) {
                    self.published.push(item.id);
                }
                Answer::Ok
            }
            Request::MarkSent(id) => {
                running.wrote = true;
                let id = *id;
                running.untold.retain(|untold| *untold != id);
                self.ledger.mark_sent(id);
                Answer::Ok
            }
            Request::Switch(switch) => {
                let switch = *switch;
                running.wrote = true;
                self.switch(switch);
                Answer::Ok
            }
            // There is always a place, and nothing to tell of many nodes.
            Request::Shelve(_) | Request::Post(_) | Request::PublishDigest(_) | Request::MarkDigestSent(_) => {
                panic!("not in this model: {:?}", running.request)
            }
            Request::Survey | Request::Done(_) => Answer::Ok,
        }
    }

    /// The port checks the time once more, sends the effect, and waits for its answer.
    fn perform(&mut self, perform: &Perform, sight: Option<Sight>, how: How) -> Performed {
        let too_late = self.now > perform.not_after;
        #[cfg(feature = "plants")]
        let too_late = too_late && defib::plants::chosen() != Some(defib::plants::Plant::NoPrecheck);
        if too_late {
            return Performed::TooLate;
        }
        self.judge_sending(sight, perform);
        match how {
            How::Refused => Performed::Refused,
            How::Lost => {
                self.late.push(Late { sent_at: self.now, perform: perform.clone() });
                Performed::Unknown
            }
            How::Well | How::Blindly => self.land(perform),
        }
    }

    fn land(&mut self, perform: &Perform) -> Performed {
        self.judge_landing(perform);
        let now = self.now;
        let node: Option<&mut Node> = self.nodes.iter_mut().find(|node| node.id == perform.target.node);
        node.map_or(Performed::Refused, |node| node.take(perform.effect, now))
    }

    /// Lets one invocation run from its start to its end, with nothing else going on and nothing going wrong.
    pub(crate) fn run_calmly(&mut self, context: &Arc<Context>, trigger: Trigger, tally: &Tally) -> Verdict {
        let mut running = Running::new(context, trigger, self.now);
        loop {
            if let Request::Done(done) = running.request {
                return done.verdict;
            }
            let answer = self.answer_to(&mut running, How::Well, tally);
            running = running.take(answer, self.now);
        }
    }

    /// An operator lets everything run again.
    pub(crate) fn resume(&mut self) {
        self.switch(Switch::Resume);
    }
}

impl Running {
    fn new(context: &Arc<Context>, trigger: Trigger, now: Timestamp) -> Self {
        let (pass, request) = Pass::new(Arc::clone(context), trigger).step(Answer::Start, now);
        let untold = Vec::new();
        Self { pass, request, sight: None, stands: false, wrote: false, saved: None, tries: 0, performed: None, untold }
    }

    fn take(self, answer: Answer, now: Timestamp) -> Self {
        let (pass, request) = self.pass.step(answer, now);
        Self { pass, request, ..self }
    }

    fn carry(&mut self, ids: impl Iterator<Item = ReportId>) {
        for id in ids {
            if !self.untold.contains(&id) {
                self.untold.push(id);
            }
        }
    }

    /// The value is dropped.
    fn dead(self) -> Self {
        let done = Done { incident: None, wake_at: None, verdict: Verdict::Progress, follow: Vec::new() };
        Self { request: Request::Done(done), ..self }
    }
}
