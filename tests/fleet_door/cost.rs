//! What an incident costs in calls of AWS, each named by whom it serves.

use std::collections::BTreeMap;

use crate::fleet_door::Received;

/// Whom a call serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// This one incident.
    Own,
    /// Every node and incident alike: the lists of a census, kept for a minute.
    Census,
    /// The diagnosis of the control plane, kept for five minutes: the VPC around a node, the account's Default Host Management, a console.
    Diagnosis,
}

/// What surrounds a node in its VPC (`src/aws/observe/vpc.rs`), Default Host Management (`identity.rs`), the console (`console.rs`).
const DIAGNOSIS: [&str; 14] = [
    "DescribeDhcpOptions",
    "DescribeManagedPrefixLists",
    "DescribeNatGateways",
    "DescribeNetworkAcls",
    "DescribeNetworkInterfaces",
    "DescribeRouteTables",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeVpcAttribute",
    "DescribeVpcEndpoints",
    "DescribeVpcs",
    "GetConsoleOutput",
    "GetManagedPrefixListEntries",
    "GetServiceSetting",
];

/// Whom a call serves. A census asks for everybody: it names nobody, or more than one.
pub(crate) fn class(call: &Received) -> Class {
    let names = |field: &str| call.asked.contains(&format!("\"{field}"));
    let everybody = match call.operation.as_str() {
        "DescribeInstances" | "DescribeInstanceStatus" => !names("InstanceId"),
        "DescribeInstanceInformation" => !names("Filters"),
        "DescribeAutoScalingGroups" => !names("AutoScalingGroupNames"),
        "ListClusters" => true,
        "ListContainerInstances" => !names("filter"),
        "DescribeContainerInstances" => call.nodes.len() > 1,
        // A census warms the tags of all clusters; there are two in each of these worlds.
        "DescribeClusters" => call.asked.matches(":cluster/").count() > 1,
        _ => false,
    };
    if everybody {
        Class::Census
    } else if DIAGNOSIS.contains(&call.operation.as_str()) {
        Class::Diagnosis
    } else {
        Class::Own
    }
}

/// The calls of one incident, pass by pass.
#[derive(Debug, Default)]
pub(crate) struct Cost(pub(crate) Vec<Vec<Received>>);

impl Cost {
    /// Of the services that the goals name; IAM is diagnosis, too, and not among them.
    pub(crate) fn counted(&self) -> impl Iterator<Item = &Received> {
        self.0.iter().flatten().filter(|call| call.service != "iam")
    }

    pub(crate) fn of(&self, wanted: Class) -> usize {
        self.counted().filter(|call| class(call) == wanted).count()
    }

    /// Prints each call, so that the next cut is easy to see.
    pub(crate) fn tell(&self, story: &str) {
        for (n, calls) in self.0.iter().enumerate() {
            let told = |wanted: Class| {
                let some = calls.iter().filter(|call| call.service != "iam" && class(call) == wanted);
                some.map(|call| call.operation.as_str()).collect::<Vec<_>>()
            };
            let (own, census, diagnosis) = (told(Class::Own), told(Class::Census).len(), told(Class::Diagnosis).len());
            println!("  pass {n:2}: {}  (+{census} census, +{diagnosis} diagnosis)", own.join(" "));
        }
        let mut sums: BTreeMap<&str, usize> = BTreeMap::new();
        for call in self.counted().filter(|call| class(call) == Class::Own) {
            *sums.entry(call.operation.as_str()).or_default() += 1;
        }
        println!(
            "{story}: {} calls of its own, {} of censuses, {} of diagnosis: {sums:?}",
            self.of(Class::Own),
            self.of(Class::Census),
            self.of(Class::Diagnosis)
        );
    }
}
