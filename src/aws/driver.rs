//! The function's hands on the AWS account: answers what passes ask, request by request.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::black_box;
use super::clients::Clients;
use super::ledger::Ledger;
use super::nodes::{Documents, Nodes};
use super::parameter::Parameter;
use super::publish::Topic;
use super::table::Table;
use super::timer::Timer;
use crate::config::{self, BadSetting, Settings, Stopwatch};
use crate::engine::{Answer, Context, Done, Pass, Request, Trigger, Verdict};
use crate::incident::IncidentId;
use crate::lambda::{Allowance, Driver, Ran, note, note_policy};
use crate::node::{DisplayName, Home};
use crate::policy::Policy;
use crate::policy::library::Library;
use crate::policy::standing::standing;
use crate::ports::{Found, Performed, PortError, Survey};
use crate::report::StackInfo;
use crate::telemetry::metrics::{self, Metrics};

/// A policy that was read for one pass serves those that follow it within this many seconds: a decision that rests on it is not
/// sent after sixty.
const POLICY_SHARED_SECS: i64 = 20;
/// What a sweep has not reached after this share of the function's time is left to the next one: the pass that runs then still ends.
const FOLLOW_SHARE: f64 = 0.5;

/// Everything that Defib works with on an AWS account.
#[derive(Debug)]
pub struct Account {
    /// The account and region.
    pub home: Home,
    /// The stack's own settings.
    pub policy: Policy,
    /// The deployment's name in reports.
    pub stack: String,
    /// What Defib remembers.
    pub ledger: Ledger,
    /// The nodes, and the services around them.
    pub nodes: Nodes,
    /// Where people are told.
    pub topic: Topic,
    /// What wakes incidents.
    pub timer: Timer,
    /// The policy document; none: the stack has none.
    pub document: Option<Parameter>,
    /// The longest that one invocation may take, in seconds.
    pub timeout_secs: f64,
    /// Documents that were read lately.
    pub library: Mutex<Library>,
}

/// The deployment's name in reports, when nobody gave it one.
const DEFAULT_STACK: &str = "defib";

/// A future whose type nobody needs to know.
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A policy, and when it was read.
type InForce = (Policy, Timestamp);

impl Driver for Account {
    fn home(&self) -> &Home {
        &self.home
    }

    fn now(&self) -> Timestamp {
        config::now()
    }

    async fn run(&self, trigger: Trigger, allowance: &mut Allowance) -> Ran {
        self.run_boxed(trigger, allowance).await
    }
}

impl Account {
    /// The SDK's futures are large and deep; behind a pointer neither the compiler nor the stack has to hold them whole.
    fn run_boxed<'a>(&'a self, trigger: Trigger, allowance: &'a mut Allowance) -> Boxed<'a, Ran> {
        Box::pin(self.run_all(trigger, allowance))
    }

    async fn run_all(&self, trigger: Trigger, allowance: &mut Allowance) -> Ran {
        let watch = Stopwatch::start();
        let mut known = None;
        let by_timer = matches!(trigger, Trigger::Wake(_));
        let mut done = Box::pin(self.pass(trigger, allowance, &mut known)).await;
        if !by_timer && self.keep_timer(&done).await.is_err() {
            // The incident is saved; who asked comes again, finds it and starts its timer.
            done.verdict = Verdict::Retry(PortError::Transient);
        }
        let mut follow = Vec::new();
        for next in std::mem::take(&mut done.follow) {
            if watch.seconds() > self.timeout_secs * FOLLOW_SHARE {
                tracing::warn!("a sweep ran out of time; the next one goes on");
                break;
            }
            let ended = Box::pin(self.pass(next.clone(), allowance, &mut known)).await;
            // A timer that cannot be kept now is found by the next sweep.
            let _ = match &next {
                Trigger::Wake(id) => self.revive_timer(*id, &ended).await,
                Trigger::Signal(_) | Trigger::Operator(_) | Trigger::Sweep => self.keep_timer(&ended).await,
            };
            follow.push((next, ended));
        }
        Ran { done, follow }
    }

    /// The account that the environment's credentials lead to.
    ///
    /// # Errors
    /// A setting is missing that a deployment needs.
    pub fn connect(settings: &Settings) -> Result<Self, BadSetting> {
        let (home, deployment) = (settings.home()?, settings.resources.complete()?);
        let clients = Clients::from_environment();
        let documents = Documents { probe: deployment.probe_document, repair: deployment.repair_document };
        Ok(Self {
            policy: settings.policy.clone(),
            stack: settings.stack.as_ref().map_or(DEFAULT_STACK, DisplayName::as_str).to_owned(),
            ledger: Ledger::new(Table::new(clients.dynamodb.clone(), deployment.table)),
            topic: Topic::new(clients.sns.clone(), deployment.topic),
            timer: Timer::new(clients.sfn.clone(), deployment.state_machine),
            document: deployment.policy_parameter.map(|name| Parameter::new(clients.ssm.clone(), name)),
            nodes: Nodes::new(clients, home.clone(), documents, config::now).with_volume_keys(deployment.volume_keys),
            timeout_secs: f64::from(settings.timeout_secs),
            library: Mutex::default(),
            home,
        })
    }

    async fn pass(&self, trigger: Trigger, allowance: &mut Allowance, known: &mut Option<InForce>) -> Done {
        let policy = match self.policy_in_force(known).await {
            Ok(policy) => policy,
            Err(error) => {
                tracing::warn!("the policy document cannot be read; the pass will be tried again: {error}");
                return Done::retry(error);
            }
        };
        let context = Arc::new(Context { home: self.home.clone(), policy });
        let stack = self.stack();
        let (mut pass, mut request) = Pass::new(context, trigger).step(Answer::Start, config::now());
        loop {
            if let Request::Done(done) = request {
                return done;
            }
            if !allowance.take() {
                return Done::retry(PortError::Transient);
            }
            let answer = self.answer(&request, &stack).await;
            let now = config::now();
            note(&request, &answer, &stack, now);
            metrics::send(&self.stack, &Metrics::of(&request, &answer), now);
            (pass, request) = pass.step(answer, now);
        }
    }

    fn answer<'a>(&'a self, request: &'a Request, stack: &'a StackInfo<'a>) -> Boxed<'a, Answer> {
        Box::pin(self.answer_it(request, stack))
    }

    async fn answer_it(&self, request: &Request, stack: &StackInfo<'_>) -> Answer {
        let now = config::now();
        let failed = Answer::Failed;
        match request {
            Request::Load(key) => {
                Box::pin(self.ledger.load(*key)).await.map_or_else(failed, |loaded| Answer::Loaded(Box::new(loaded)))
            }
            Request::Observe(node, look) => Answer::Observed(Arc::new(self.nodes.observe(*node, look, now).await)),
            Request::Commit(commit) => self.ledger.commit(commit, now).await.map_or_else(failed, Answer::Committed),
            Request::Perform(perform) => {
                // Nothing is sent whose evidence is lost with it: the plan tries again, or climbs no further.
                if black_box::is_due(perform.effect)
                    && let Err(error) = self.ledger.keep(perform, &self.nodes.black_box(perform, now)).await
                {
                    tracing::warn!("the evidence could not be kept, so nothing was sent: {error}");
                    return Answer::Performed(Performed::TooLate);
                }
                Answer::Performed(self.nodes.perform(perform, now).await)
            }
            Request::Publish(item) => self.topic.report(item, stack).await.map_or_else(failed, |()| Answer::Ok),
            Request::MarkSent(id) => self.ledger.mark_sent(*id).await.map_or_else(failed, |()| Answer::Ok),
            Request::Survey => {
                Box::pin(self.survey(now)).await.map_or_else(failed, |survey| Answer::Surveyed(Box::new(survey)))
            }
            Request::Shelve(shelve) => self.ledger.shelve(shelve, now).await.map_or_else(failed, |()| Answer::Ok),
            Request::Post(post) => self.ledger.post(post, now).await.map_or_else(failed, Answer::Committed),
            Request::PublishDigest(digest) => {
                self.topic.digest(digest, stack).await.map_or_else(failed, |()| Answer::Ok)
            }
            Request::MarkDigestSent(id) => self.ledger.mark_digest_sent(*id).await.map_or_else(failed, |()| Answer::Ok),
            Request::Switch(switch) => self.ledger.switch(*switch, now).await.map_or_else(failed, |()| Answer::Ok),
            Request::Done(_) => Answer::Ok,
        }
    }

    /// What the ledger and the account show, put together.
    async fn survey(&self, now: Timestamp) -> Result<Survey, PortError> {
        let (books, swept) = tokio::join!(self.ledger.books(now), self.nodes.troubled(now));
        let (books, swept) = (books?, swept?);
        let new: Vec<_> = swept.troubled.into_iter().filter(|(signal, _)| !books.open.contains(&signal.node)).collect();
        let nodes: Vec<_> = new.iter().map(|(signal, _)| signal.node).collect();
        let mut last = self.ledger.last(&nodes).await?;
        let troubled =
            new.into_iter().map(|(signal, since)| Found { last: last.remove(&signal.node), since, signal }).collect();
        Ok(Survey {
            troubled,
            overdue: books.overdue,
            fleet: swept.fleet,
            ghosts: swept.ghosts,
            waiting: books.waiting,
            gathered: books.gathered,
            digests: books.digests,
            policy_news: books.policy_news,
            around: books.around,
        })
    }

    /// The policy for a pass that begins now.
    async fn policy_in_force(&self, known: &mut Option<InForce>) -> Result<Policy, PortError> {
        let Some(document) = &self.document else { return Ok(self.policy.clone()) };
        let now = config::now();
        if let Some((policy, read_at)) = known
            && crate::time::secs_between(*read_at, now) <= POLICY_SHARED_SECS
        {
            return Ok(policy.clone());
        }
        let (reading, kept) = tokio::join!(document.read(), self.ledger.remembered());
        let kept = kept?;
        let mut standing = {
            let mut library = self.library.lock().unwrap_or_else(PoisonError::into_inner);
            standing(&self.policy, &reading, &kept, now, &mut library)
        };
        if let Some(next) = &standing.keep {
            // Whoever was faster tells, and whoever cannot save leaves it to the next pass; the policy is the same.
            let saved = self.ledger.remember(next, standing.news.as_ref(), now).await == Ok(true);
            if let Some(news) = standing.news.as_ref().filter(|_| saved) {
                note_policy(news, &self.home, &self.stack(), now);
            }
        }
        let policy = standing.policy.take().ok_or(PortError::Transient)?;
        *known = Some((policy.clone(), now));
        Ok(policy)
    }

    /// Makes sure that whoever waits is woken.
    async fn keep_timer(&self, done: &Done) -> Result<(), PortError> {
        let Some((id, wake_at)) = done.incident.zip(done.wake_at) else { return Ok(()) };
        self.timer.ensure(&self.ledger, id, wake_at).await
    }

    async fn revive_timer(&self, id: IncidentId, done: &Done) -> Result<(), PortError> {
        let Some(wake_at) = done.wake_at else { return Ok(()) };
        self.timer.revive(&self.ledger, id, wake_at, config::now()).await
    }

    fn stack(&self) -> StackInfo<'_> {
        StackInfo { name: &self.stack, version: env!("CARGO_PKG_VERSION") }
    }
}
