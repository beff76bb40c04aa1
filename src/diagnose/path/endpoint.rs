//! Interface endpoints: state, network interfaces, groups, policy.

use super::cidr::{Family, Ranges};
use super::groups;
use super::hop::{Check, Hop};
use super::ids::SubnetId;
use super::model::{Endpoint, Lifetime};
use super::service::Service;
use super::walk::{Walker, lets, listed, only};
use crate::diagnose::Cause;
use crate::diagnose::iam::{Document, Grant};
use crate::observe::{Blind, Fact};

impl Walker<'_> {
    /// From the host to an interface endpoint: where its network interfaces are, and what is on the way.
    pub(super) fn towards(&self, endpoint: &Endpoint) -> (Ranges, Vec<Hop>) {
        let family = self.family();
        let everything = Ranges::all(family);
        let clear = || Hop::clear(Check::EndpointInterfaces, &endpoint.id);
        let of_family = match family {
            Family::V4 => endpoint.v4,
            Family::V6 => endpoint.v6,
        };
        let places = match self.places(endpoint) {
            Ok(places) if of_family => places,
            Ok(_) => Vec::new(),
            Err((subnet, blind)) => {
                let hop = clear().unread(everything.clone(), &format_args!("{subnet} of {}", endpoint.id), blind);
                return (everything, vec![hop]);
            }
        };
        let to = places.iter().fold(Ranges::none(), |sum, (_, addresses)| sum.or(addresses));
        if to.is_empty() {
            let hop = clear().blocks(everything.clone(), || {
                let fault = format!("{} has no network interface with an {family} address", endpoint.id);
                (fault, format!("add a subnet of the instance's Availability Zone to {}", endpoint.id))
            });
            return (everything, vec![hop]);
        }
        let note = self.zones(&places);
        let there = Hop { note, ..clear() };
        let mut hops = vec![there, self.state(endpoint, &to), self.groups_out(&to, &endpoint.groups)];
        for (subnet, addresses) in &places {
            // Within a subnet no ACL and no route is asked.
            if *subnet != self.host.subnet {
                hops.extend(self.leaves(addresses));
                hops.extend(self.routes(addresses));
                hops.extend(self.enters(subnet, addresses));
            }
        }
        hops.push(self.groups_in(endpoint, &to));
        hops.push(self.policy(endpoint, &to));
        (to, hops)
    }

    /// The endpoint's subnets, each with the addresses that its network interface there may have.
    fn places(&self, endpoint: &Endpoint) -> Result<Vec<(SubnetId, Ranges)>, (SubnetId, Blind)> {
        let family = self.family();
        if let Fact::Known(interfaces) = &endpoint.interfaces {
            let places = interfaces.iter().map(|one| {
                let own = one.addresses.iter().copied().filter(|address| Family::of(*address) == family);
                (one.subnet.clone(), own.fold(Ranges::none(), |sum, address| sum.or(&only(address))))
            });
            return Ok(places.filter(|(_, addresses)| !addresses.is_empty()).collect());
        }
        let mut places = Vec::new();
        for subnet in &endpoint.subnets {
            let blind = |blind| (subnet.clone(), blind);
            let known = match &self.around.subnets {
                Fact::Known(subnets) => subnets.get(subnet).ok_or_else(|| blind(Blind::Empty))?,
                Fact::Absent => return Err(blind(Blind::Empty)),
                Fact::Unknown(why) => return Err(blind(*why)),
            };
            let addresses = Ranges::of(known.blocks.iter().copied(), family);
            if !addresses.is_empty() {
                places.push((subnet.clone(), addresses));
            }
        }
        Ok(places)
    }

    /// A word about an endpoint that is in other zones alone: it is reached there, and lost with them.
    fn zones(&self, places: &[(SubnetId, Ranges)]) -> String {
        let Some(subnets) = self.around.subnets.known() else { return String::new() };
        let zone = |id: &SubnetId| subnets.get(id).map(|subnet| &subnet.zone);
        match zone(&self.host.subnet) {
            Some(own) if places.iter().all(|(id, _)| zone(id).is_some_and(|other| other != own)) => {
                format!("some have none in {own}, and are reached in other zones")
            }
            Some(_) | None => String::new(),
        }
    }

    /// The endpoint's state.
    pub(super) fn state(&self, endpoint: &Endpoint, to: &Ranges) -> Hop {
        let check = if self.service.is_some_and(Service::is_ssm) { Check::SsmEndpoints } else { Check::EcsEndpoints };
        let clear = Hop::clear(check, &endpoint.id);
        match endpoint.state {
            Lifetime::Available => clear,
            Lifetime::Coming => clear.hides(to.clone(), || format!("{} is not available yet", endpoint.id)),
            Lifetime::Gone => clear.blocks(to.clone(), || {
                let fault = format!("{} ({}) is not available", endpoint.id, endpoint.service);
                (fault, format!("create the endpoint for {} anew", endpoint.service))
            }),
        }
    }

    /// The endpoint's groups.
    fn groups_in(&self, endpoint: &Endpoint, to: &Ranges) -> Hop {
        let (family, host) = (self.family(), self.host);
        let flow = (self.protocol, self.port);
        let allowed = groups::inbound(self.around, &endpoint.groups, family, flow, &host.groups);
        let names = listed(&endpoint.groups);
        let clear = Hop::clear(Check::EndpointGroups, &names);
        if allowed.addresses.holds(self.address) {
            return clear;
        }
        match allowed.unread {
            Some((what, blind)) => clear.unread(to.clone(), &what, blind),
            None => clear.blocks(to.clone(), || {
                let (port, lets) = (self.port, lets(&endpoint.groups));
                let fault = format!("{names} {lets} no TCP {port} in from {}", self.from());
                (fault, format!("allow TCP {port} in from {} in {names}", listed(&host.groups)))
            }),
        }
    }

    /// The endpoint's policy, for the actions that the agent cannot do without.
    pub(super) fn policy(&self, endpoint: &Endpoint, to: &Ranges) -> Hop {
        let clear = Hop::clear(Check::EndpointPolicy, &endpoint.id).meaning(Cause::IdentityAccessDenied);
        let (Some(service), Some(text)) = (self.service, &endpoint.policy) else { return clear };
        let Ok(document) = Document::parse(text) else {
            return clear.hides(to.clone(), || format!("the policy of {} could not be understood", endpoint.id));
        };
        let mut doubt = None;
        for action in service.actions() {
            let refused = match document.grant(action) {
                Grant::Allowed => continue,
                Grant::Unclear => {
                    doubt.get_or_insert(action);
                    continue;
                }
                Grant::Denied => "denies",
                Grant::NotAllowed => "does not allow",
            };
            return clear.blocks(to.clone(), || {
                let fault = format!("the policy of {} {refused} {action}", endpoint.id);
                (fault, format!("allow {action} to the instance's role in the policy of {}", endpoint.id))
            });
        }
        match doubt {
            Some(action) => clear.hides(to.clone(), || {
                format!("whether the policy of {} allows {action} depends on its conditions", endpoint.id)
            }),
            None => clear,
        }
    }
}
