//! Samples of what is stored, beside those of the test itself.

use std::sync::Arc;

use defib::guard::{Refusal, Scope, WorkloadRefusal};
use defib::incident::held::Ghost;

use super::at;

/// Every refusal for the sake of the group, the zone and the tasks.
pub(crate) fn refusals_for_others() -> Vec<Refusal> {
    let mut all = vec![Refusal::UnhealthyStop { group: Arc::from("blue"), unhealthy: 3, size: 10, limit: 2 }];
    let scope = Scope::ScalingGroup("blue-asg".parse().unwrap());
    all.push(Refusal::CapacityFloor { scope, of: 10, stay: 9, held: 1, missing: 0 });
    let zone: defib::node::AvailabilityZone = "us-east-1a".parse().unwrap();
    all.push(Refusal::ZoneFrozen { zone: zone.clone(), unhealthy: 2, size: 4, percent: 50 });
    all.push(Refusal::LastInZone { zone, members: 3, unhealthy: 2 });
    use WorkloadRefusal::{Protected, ServiceMinimum, Standalone, StillThere};
    for why in [
        Standalone { count: 1 },
        Protected { count: 2, until: Some(at("16:00:00")) },
        Protected { count: 2, until: None },
        ServiceMinimum { elsewhere: 3, desired: 5, percent: 100 },
        StillThere { count: 2 },
    ] {
        all.push(Refusal::Workload { why });
    }
    for until in [Some(at("16:00:00")), None] {
        all.push(Refusal::CalendarClosed { name: "freeze".parse().unwrap(), until });
    }
    all
}

/// What is left of an instance that is gone.
pub(crate) fn ghost() -> Ghost {
    let arn = "arn:aws:ecs:us-east-1:111122223333:";
    Ghost {
        node: "i-0a1b2c3d4e5f60718".parse().unwrap(),
        cluster: format!("{arn}cluster/blue").parse().unwrap(),
        container_instance: format!("{arn}container-instance/blue/0123456789abcdef0123456789abcdef").parse().unwrap(),
    }
}
