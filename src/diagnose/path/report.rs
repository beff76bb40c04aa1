//! What is told of the paths: lines for people, findings for the diagnosis.

use std::sync::Arc;

use super::changed::changed;
use super::cidr::Family;
use super::hop::{Check, Verdict};
use super::model::{Host, Surroundings};
use super::service::{Need, Service};
use super::walk::listed;
use super::way::{Passed, Way, ways};
use crate::diagnose::{Agents, Cause, Channel, CheckLine, Finding, Mark, Severity, check_line};
use crate::observe::{Blind, Fact, Findings};

/// Each service's way, from one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The ways, in the order of [`Service::ALL`].
    pub ways: Vec<Way>,
    both_families: bool,
}

/// Judges the way from a host to each service that an agent, or what it starts, needs.
#[must_use]
pub fn paths(host: &Host, around: &Surroundings) -> Paths {
    let both_families = host.v4.is_some() && host.v6.is_some();
    Paths { ways: ways(host, around), both_families }
}

/// What is told in one finding.
struct Group<'a> {
    key: (Check, Cause, Severity),
    services: Vec<Service>,
    why: Vec<&'a str>,
}

impl Paths {
    /// The verdict on a service.
    #[must_use]
    pub fn verdict(&self, service: Service) -> Option<&Verdict> {
        self.ways.iter().find(|way| way.service == service).map(|way| &way.verdict)
    }

    fn is_blocked(&self, service: Service) -> bool {
        matches!(self.verdict(service), Some(Verdict::Blocked(_)))
    }

    fn is_open(&self, service: Service) -> bool {
        matches!(self.verdict(service), Some(Verdict::Open))
    }

    /// The agents that certainly cannot work, because something that they cannot do without is out of their reach.
    ///
    /// Without `ssmmessages` a newer SSM agent still takes commands by `ec2messages`, so both have to be blocked.
    #[must_use]
    pub fn cut_off(&self) -> Agents {
        let ssm_messages = self.is_blocked(Service::SsmMessages) && self.is_blocked(Service::Ec2Messages);
        Agents {
            ssm: self.is_blocked(Service::Ssm) || ssm_messages,
            ecs: self.is_blocked(Service::Ecs) || self.is_blocked(Service::EcsAgent),
        }
    }

    /// Findings for the diagnosis of a node whose agents of `silent` do not answer.
    ///
    /// An obstacle is a cause where it cuts off a silent agent, a symptom where it takes something vital from one that has another
    /// way, and noise where it takes what is only useful, or where the agent is seen to answer.
    ///
    /// Unknown is the answer only where a read failed on a silent agent's way that nothing else blocks (S8): what no read can show,
    /// such as the far side of a transit gateway, stands in no diagnosis's way.
    #[must_use]
    pub fn channel(&self, silent: Agents) -> Fact<Findings> {
        let findings = self.findings(silent);
        let proven = findings.iter().any(|finding| finding.severity == Severity::Cause);
        match self.blind(silent) {
            Some(blind) if !proven => Fact::Unknown(blind),
            Some(_) | None => Fact::Known(findings.into()),
        }
    }

    /// The read that failed on a silent agent's way, if one did.
    #[must_use]
    pub fn blind(&self, silent: Agents) -> Option<Blind> {
        let mut vital = self.ways.iter().filter(|way| way.service.need(silent) == Some(Need::Vital));
        vital.find_map(|way| match &way.verdict {
            Verdict::Unknown { blind, .. } => *blind,
            Verdict::Open | Verdict::Blocked(_) => None,
        })
    }

    /// The findings alone; see [`Self::channel`].
    #[must_use]
    pub fn findings(&self, silent: Agents) -> Vec<Finding> {
        let mut grouped: Vec<Group<'_>> = Vec::new();
        for way in &self.ways {
            let Verdict::Blocked(obstacle) = &way.verdict else { continue };
            let Some(need) = way.service.need(Agents::BOTH) else { continue };
            let severity = self.severity(way.service, need, silent);
            let key = (obstacle.check, obstacle.cause, severity);
            match grouped.iter_mut().find(|group| group.key == key) {
                Some(group) => {
                    group.services.push(way.service);
                    if !group.why.contains(&&*obstacle.why) {
                        group.why.push(&obstacle.why);
                    }
                }
                None => grouped.push(Group { key, services: vec![way.service], why: vec![&obstacle.why] }),
            }
        }
        let told = grouped.into_iter().map(|Group { key: (_, cause, severity), services, why }| Finding {
            cause,
            severity,
            channel: Channel::Network,
            evidence: check_line::evidence(format!("no way to {}: {}", all(&services), why.join("; "))),
        });
        told.collect()
    }

    fn severity(&self, service: Service, need: Need, silent: Agents) -> Severity {
        let cut = self.cut_off();
        let concerned = service.need(Agents { ssm: cut.ssm && silent.ssm, ecs: cut.ecs && silent.ecs });
        match (need, concerned, service.need(silent)) {
            (Need::Vital, Some(Need::Vital), _) => Severity::Cause,
            (Need::Vital, _, Some(Need::Vital)) => Severity::Symptom,
            (Need::Vital | Need::Useful, _, _) => Severity::Noise,
        }
    }

    /// The lines of the checks N01 to N12, for the agents that the node should have.
    #[must_use]
    pub fn lines(&self, agents: Agents) -> Vec<CheckLine> {
        let needed: Vec<(&Way, Need)> =
            self.ways.iter().filter_map(|way| way.service.need(agents).map(|need| (way, need))).collect();
        let mut lines = Vec::new();
        for check in Check::ALL {
            match check {
                Check::SsmEndpoints => lines.extend(served(check, &needed, true)),
                Check::EcsEndpoints => lines.extend(served(check, &needed, false)),
                Check::V6 => lines.extend(self.by_v6(&needed)),
                Check::Route
                | Check::PublicAddress
                | Check::Nat
                | Check::EndpointInterfaces
                | Check::EndpointGroups
                | Check::EndpointPolicy
                | Check::Groups
                | Check::Acl
                | Check::Names => lines.extend(seen(check, &needed)),
            }
        }
        lines.extend(changed(&lines));
        lines
    }

    fn by_v6(&self, needed: &[(&Way, Need)]) -> Option<CheckLine> {
        let id = Check::V6.id();
        if needed.iter().any(|(way, _)| way.family == Some(Family::V6)) {
            let (open, all) = (needed.iter().filter(|(way, _)| self.is_open(way.service)).count(), needed.len());
            let text = format!("the instance has only IPv6: {open} of {all} services are certainly reached");
            return Some(if open == all { CheckLine::ok(id, text) } else { CheckLine::unknown(id, text) });
        }
        if !self.both_families {
            return None;
        }
        let rescued = needed.iter().filter(|(way, need)| {
            *need == Need::Vital
                && matches!(way.by_v6, Some(Verdict::Open | Verdict::Unknown { .. }))
                && way.passed.iter().any(|passed| passed.mark == Mark::Fail)
        });
        let names: Vec<Service> = rescued.map(|(way, _)| way.service).collect();
        Some(if names.is_empty() {
            CheckLine::ok(id, "the instance has both families; the agents use IPv4")
        } else {
            let text = format!("by IPv4 {} cannot be reached; by IPv6 perhaps, if the agents are told to", all(&names));
            CheckLine::unknown(id, text)
        })
    }
}

/// The lines of one check: each thing in the way once, or one line that nothing is.
fn seen(check: Check, needed: &[(&Way, Need)]) -> Vec<CheckLine> {
    let mut told: Vec<(Mark, &Passed, Vec<Service>)> = Vec::new();
    let (mut clear, mut notes): (Vec<&Arc<str>>, Vec<&Arc<str>>) = (Vec::new(), Vec::new());
    for (way, need) in needed {
        for passed in way.passed.iter().filter(|passed| passed.check == check) {
            if passed.mark == Mark::Ok {
                if !clear.contains(&&passed.at) {
                    clear.push(&passed.at);
                    notes.extend((!passed.text.is_empty() && !notes.contains(&&passed.text)).then_some(&passed.text));
                }
                continue;
            }
            let mark = weighed(passed.mark, way, *need);
            match told.iter_mut().find(|(_, other, _)| other.text == passed.text) {
                Some((worst, _, services)) => {
                    *worst = mark.max(*worst);
                    services.push(way.service);
                }
                None => told.push((mark, passed, vec![way.service])),
            }
        }
    }
    if told.is_empty() && !clear.is_empty() {
        let text = format!("{} ({})", check.passes(), listed(clear));
        let line = notes.iter().fold(text, |text, note| format!("{text}; {note}"));
        return vec![CheckLine::ok(check.id(), line)];
    }
    told.sort_by_key(|(mark, _, _)| std::cmp::Reverse(*mark));
    let line = |(mark, passed, services): (Mark, &Passed, Vec<Service>)| {
        let text = format!("{} ({})", passed.text, all(&services));
        match mark {
            Mark::Fail => CheckLine::fail(check.id(), text, &*passed.fix),
            Mark::Warn => CheckLine::warn(check.id(), text, &*passed.fix),
            Mark::Ok | Mark::Unknown => CheckLine::unknown(check.id(), text),
        }
    };
    told.into_iter().map(line).collect()
}

/// What is in the way fails only where it cuts off something vital.
fn weighed(mark: Mark, way: &Way, need: Need) -> Mark {
    let cut_off = need == Need::Vital && matches!(way.verdict, Verdict::Blocked(_));
    if mark == Mark::Fail && !cut_off { Mark::Warn } else { mark }
}

/// How the services of one agent are reached: by endpoints or past them.
fn served(check: Check, needed: &[(&Way, Need)], ssm: bool) -> Vec<CheckLine> {
    let own: Vec<(&Way, Need)> = needed.iter().filter(|(way, _)| way.service.is_ssm() == ssm).copied().collect();
    if own.is_empty() {
        return Vec::new();
    }
    let mut lines = seen(check, &own);
    lines.retain(|line| line.verdict != Mark::Ok);
    let of_endpoints = [Check::SsmEndpoints, Check::EcsEndpoints, Check::EndpointInterfaces];
    let has_endpoint = |way: &Way| way.passed.iter().any(|passed| of_endpoints.contains(&passed.check));
    let is_blocked = |way: &Way| matches!(way.verdict, Verdict::Blocked(_));
    let pick = |endpoint: bool, blocked: bool, need: Option<Need>| -> Vec<Service> {
        let fits = own.iter().filter(|(way, of)| {
            has_endpoint(way) == endpoint && is_blocked(way) == blocked && need.is_none_or(|need| need == *of)
        });
        fits.map(|(way, _)| way.service).collect()
    };
    // Where one stands idle, N11 says why; another would not help.
    let stands_idle = |service: &Service| {
        let way = own.iter().find(|(way, _)| way.service == *service);
        way.is_some_and(|(way, _)| {
            way.passed.iter().any(|passed| passed.check == Check::Names && passed.mark == Mark::Fail)
        })
    };
    let missing = |need| {
        let mut services = pick(false, true, Some(need));
        services.retain(|service| !stands_idle(service));
        services
    };
    let create = |services: &[Service]| {
        format!("create interface endpoints for {}, or give the subnet a way to the internet", all(services))
    };
    for (need, mark) in [(Need::Vital, Mark::Fail), (Need::Useful, Mark::Warn)] {
        let services = missing(need);
        if services.is_empty() {
            continue;
        }
        let text = format!("no endpoint answers for {}, and the internet cannot be reached", all(&services));
        lines.push(match mark {
            Mark::Fail => CheckLine::fail(check.id(), text, create(&services)),
            Mark::Ok | Mark::Unknown | Mark::Warn => CheckLine::warn(check.id(), text, create(&services)),
        });
    }
    let unclear: Vec<Service> = own
        .iter()
        .filter(|(way, _)| !has_endpoint(way) && matches!(way.verdict, Verdict::Unknown { .. }))
        .map(|(way, _)| way.service)
        .collect();
    if !unclear.is_empty() {
        let text =
            format!("no endpoint is seen for {}, and whether they are reached otherwise is not known", all(&unclear));
        lines.push(CheckLine::unknown(check.id(), text));
    }
    if lines.is_empty() {
        let (by_endpoint, past) = (pick(true, false, None), pick(false, false, None));
        let reached = [(by_endpoint, "by endpoints"), (past, "by routes, without endpoints")];
        let words: Vec<String> = reached
            .iter()
            .filter(|(services, _)| !services.is_empty())
            .map(|(services, how)| format!("{} {how}", all(services)))
            .collect();
        if !words.is_empty() {
            lines.push(CheckLine::ok(check.id(), words.join("; ")));
        }
    }
    lines
}

/// Each name, for there are ten at most.
fn all(services: &[Service]) -> String {
    let names: Vec<&str> = services.iter().map(|service| service.as_str()).collect();
    names.join(", ")
}
