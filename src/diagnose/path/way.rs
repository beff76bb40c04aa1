//! The way to one service: its leads, its verdict, and what was passed.

use std::sync::Arc;

use super::cidr::{self, Family, Ranges};
use super::groups;
use super::hop::{Check, Hop, Obstacle, Verdict};
use super::model::{Destination, EndpointKind, Host, Protocol, Surroundings};
use super::names::{self, Lead, Resolver};
use super::routes;
use super::service::Service;
use super::tells_apart;
use super::walk::Walker;
use crate::diagnose::{Cause, Mark};
use crate::observe::{Blind, Fact};

/// The way to one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The service.
    pub service: Service,
    /// Whether packets arrive, and the answers come back.
    pub verdict: Verdict,
    /// The family of addresses that it was judged by first.
    pub family: Option<Family>,
    /// What a host with both families finds by IPv6.
    pub by_v6: Option<Verdict>,
    /// What was passed, each check with what came of it.
    pub passed: Vec<Passed>,
}

/// A place that was passed, or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Passed {
    /// The check.
    pub check: Check,
    /// What came of it, for this place alone.
    pub mark: Mark,
    /// The thing itself, by its id.
    pub at: Arc<str>,
    /// What was seen; where nothing is in the way, mostly empty.
    pub text: Arc<str>,
    /// What a person changes; empty where nothing is in the way.
    pub fix: Arc<str>,
}

/// Where an agent's packets to a service go, and what is on the way.
struct Judged {
    verdict: Verdict,
    passed: Vec<Passed>,
}

/// Judges the way to each service.
pub(super) fn ways(host: &Host, around: &Surroundings) -> Vec<Way> {
    let apart = tells_apart(host, around);
    let grounds = [Family::V4, Family::V6].map(|family| Ground::of(host, around, family, apart));
    Service::ALL.into_iter().map(|service| way(&grounds, service)).collect()
}

fn way(grounds: &[Option<Ground<'_>>; 2], service: Service) -> Way {
    let [v4, v6] = grounds.each_ref().map(|ground| ground.as_ref().map(|ground| ground.judge(service)));
    let of = |family, judged: Judged, by_v6| Way {
        service,
        verdict: judged.verdict,
        family: Some(family),
        by_v6,
        passed: judged.passed,
    };
    match (v4, v6) {
        (Some(v4), None) => of(Family::V4, v4, None),
        (None, Some(v6)) => of(Family::V6, v6, None),
        // Clients try both: one open way is enough, and without any the agent is cut off.
        (Some(v4), Some(v6)) => {
            let by_v6 = Some(v6.verdict.clone());
            let verdict = match (&v4.verdict, v6.verdict) {
                (Verdict::Unknown { .. }, Verdict::Open) => Verdict::Open,
                (Verdict::Open | Verdict::Unknown { .. }, _) => v4.verdict.clone(),
                (Verdict::Blocked(_), Verdict::Blocked(_)) => v4.verdict.clone(),
                (Verdict::Blocked(_), other) => other,
            };
            of(Family::V4, Judged { verdict, passed: v4.passed }, by_v6)
        }
        (None, None) => {
            let verdict = Verdict::unknown("the instance's address is not known", Some(Blind::Empty));
            Way { service, verdict, family: None, by_v6: None, passed: Vec::new() }
        }
    }
}

/// What the ways to all services by one family have in common.
struct Ground<'a> {
    walker: Walker<'a>,
    resolver: Resolver,
    asked: Verdict,
    asking: Passed,
    /// The way to public addresses, for services without a gateway endpoint.
    public: Public,
}

/// The way to public addresses.
#[derive(Clone)]
struct Public {
    verdict: Verdict,
    /// Where the name may lead instead.
    elsewhere: Option<Verdict>,
    passed: Vec<Passed>,
}

impl<'a> Ground<'a> {
    fn of(host: &'a Host, around: &'a Surroundings, family: Family, apart: bool) -> Option<Self> {
        let address = host.address(family)?;
        let walker = Walker { host, around, address, protocol: Protocol::Tcp, port: 443, service: None, apart };
        let resolver = names::resolver(around);
        let asking = names::asking(&walker, &resolver);
        let everything = Ranges::all(family);
        let asked = Verdict::of(&everything, std::slice::from_ref(&asking));
        let public = public(&walker);
        Some(Self { walker, resolver, asked, asking: note(&asking, &everything), public })
    }

    fn judge(&self, service: Service) -> Judged {
        let walker = Walker { service: Some(service), ..self.walker };
        let mut passed = vec![self.asking.clone()];
        let mut ways = Vec::new();
        for lead in names::leads(&walker, service, &self.resolver) {
            let verdict = match lead {
                Lead::Public => {
                    let public = if has_gateway(&walker, service) { public(&walker) } else { self.public.clone() };
                    passed.extend(public.passed);
                    ways.extend(public.elsewhere);
                    because_idle(&walker, service, &self.resolver, public.verdict, &mut passed)
                }
                Lead::Endpoint(endpoint) => {
                    let (to, hops) = walker.towards(endpoint);
                    passed.extend(hops.iter().map(|hop| note(hop, &to)));
                    Verdict::of(&to, &hops)
                }
                Lead::Unseen(what, blind) => Verdict::Unknown { what, blind },
            };
            ways.push(verdict);
        }
        // A name that does not resolve leads nowhere.
        let verdict = match (self.asked.clone(), Verdict::either(ways)) {
            (blocked @ Verdict::Blocked(_), _) => blocked,
            (_, blocked @ Verdict::Blocked(_)) => blocked,
            (Verdict::Open, way) => way,
            (dark @ Verdict::Unknown { .. }, _) => dark,
        };
        passed.sort_unstable();
        passed.dedup();
        Judged { verdict, passed }
    }
}

/// Whether a gateway endpoint takes the service's addresses.
fn has_gateway(walker: &Walker<'_>, service: Service) -> bool {
    let endpoints = walker.around.endpoints.known().into_iter().flatten();
    let mut gateways = endpoints.filter(|endpoint| endpoint.kind == EndpointKind::Gateway);
    gateways.any(|endpoint| routes::serves(walker.around, endpoint, Some(service)))
}

fn public(walker: &Walker<'_>) -> Public {
    let (to, hops) = to_public(walker);
    let verdict = Verdict::of(&to, &hops);
    let elsewhere = elsewhere(walker, &verdict);
    Public { verdict, elsewhere, passed: hops.iter().map(|hop| note(hop, &to)).collect() }
}

/// From the host to a service's public addresses.
fn to_public(walker: &Walker<'_>) -> (Ranges, Vec<Hop>) {
    let family = walker.family();
    let mut to = cidr::public(family);
    let mut hops = Vec::new();
    if let Ok(table) = routes::of(walker.around, &walker.host.subnet) {
        to = to.minus(&routes::local(table, family));
        // Behind a gateway endpoint the addresses are known: those of its list.
        let own = table.routes.iter().find_map(|route| match &route.to {
            Destination::List(list) => routes::gateway(walker.around, &route.target)
                .is_some_and(|endpoint| routes::serves(walker.around, endpoint, walker.service))
                .then_some(list),
            Destination::Block(_) => None,
        });
        match own.map(|list| (list, groups::entries(walker.around, list))) {
            None => {}
            Some((_, Ok(blocks))) => {
                let known = Ranges::of(blocks.iter().copied(), family);
                // A list without addresses of the family says nothing about where they are.
                if !known.is_empty() {
                    to = known;
                }
            }
            Some((list, Err(blind))) => hops.push(Hop::clear(Check::Route, list).unread(to.clone(), list, blind)),
        }
    }
    if family == Family::V6 {
        hops.push(Hop::clear(Check::V6, &walker.host.subnet).hides(to.clone(), || {
            "services have IPv6 addresses only under their dual-stack names, which agents use when told to".to_owned()
        }));
    }
    hops.extend(walker.out(&to));
    (to, hops)
}

/// Where the public addresses are blocked, a private zone or a forwarding rule that cannot be seen may lead the name into another
/// network, if there is a way to one.
fn elsewhere(walker: &Walker<'_>, public: &Verdict) -> Option<Verdict> {
    let seen = matches!(walker.around.dns.zones, Fact::Known(_) | Fact::Absent);
    if seen || !matches!(public, Verdict::Blocked(_)) {
        return None;
    }
    let table = routes::of(walker.around, &walker.host.subnet).ok()?;
    let to = cidr::private(walker.family()).minus(&routes::local(table, walker.family()));
    let asks = Walker { service: None, ..*walker };
    match Verdict::of(&to, &asks.out(&to)) {
        Verdict::Blocked(_) => None,
        Verdict::Open | Verdict::Unknown { .. } => {
            Some(Verdict::unknown("the name may lead to endpoints in another network, which cannot be seen", None))
        }
    }
}

/// Names the idle endpoint as the reason why a way to public addresses matters at all.
fn because_idle(
    walker: &Walker<'_>,
    service: Service,
    resolver: &Resolver,
    public: Verdict,
    passed: &mut Vec<Passed>,
) -> Verdict {
    let Some((fault, fix)) = names::idle(walker, service, resolver) else { return public };
    let Verdict::Blocked(obstacle) = public else {
        return public;
    };
    let why: Arc<str> = format!("{fault}, and to its public addresses {}", obstacle.why).into();
    let (at, fix): (Arc<str>, Arc<str>) = (walker.around.vpc.as_str().into(), fix.into());
    let note = Passed { check: Check::Names, mark: Mark::Fail, at: at.clone(), text: fault.into(), fix: fix.clone() };
    passed.push(note);
    Verdict::Blocked(Obstacle { check: Check::Names, at, why, fix, cause: Cause::NetworkDns })
}

fn note(hop: &Hop, to: &Ranges) -> Passed {
    let mark = hop.mark(to);
    let (text, fix) = match mark {
        Mark::Ok => (hop.note.as_str(), ""),
        Mark::Unknown => (hop.doubt.as_str(), ""),
        Mark::Warn | Mark::Fail => (hop.fault.as_str(), hop.fix.as_str()),
    };
    Passed { check: hop.check, mark, at: hop.at.clone(), text: text.into(), fix: fix.into() }
}
