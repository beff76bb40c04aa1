//! Every operation of AWS that Defib calls, with the least mode that needs it: what the role allows is made from this table,
//! and a test compares it with the calls in the code.

use crate::policy::Mode;

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation {
    /// The service, as IAM writes it.
    pub service: &'static str,
    /// The operation, as IAM writes it.
    pub operation: &'static str,
    /// The least mode whose role may call it.
    pub mode: Mode,
}

macro_rules! operations {
    ($(op!($service:literal, $operation:literal, $mode:ident),)*) => {
        /// Every operation, by service.
        pub const OPERATIONS: &[Operation] = &[
            $(Operation { service: $service, operation: $operation, mode: Mode::$mode },)*
        ];
    };
}

operations! {
    op!("ssm", "DescribeInstanceInformation", Observe),
    op!("ssm", "DescribeSessions", Observe),
    op!("ssm", "GetCalendarState", Observe),
    op!("ssm", "GetCommandInvocation", Observe),
    op!("ssm", "GetConnectionStatus", Observe),
    op!("ssm", "GetParameter", Observe),
    op!("ssm", "GetServiceSetting", Observe),
    op!("ssm", "ListCommandInvocations", Observe),
    op!("ssm", "ListTagsForResource", Observe),
    // From `restart` on both documents; in `observe` the probe's, where the stack allows probes.
    op!("ssm", "SendCommand", Restart),
    op!("ec2", "DescribeDhcpOptions", Observe),
    op!("ec2", "DescribeInstanceAttribute", Observe),
    op!("ec2", "DescribeInstanceStatus", Observe),
    op!("ec2", "DescribeInstanceTypes", Observe),
    op!("ec2", "DescribeInstances", Observe),
    op!("ec2", "DescribeManagedPrefixLists", Observe),
    op!("ec2", "DescribeNatGateways", Observe),
    op!("ec2", "DescribeNetworkAcls", Observe),
    op!("ec2", "DescribeNetworkInterfaces", Observe),
    op!("ec2", "DescribeRouteTables", Observe),
    op!("ec2", "DescribeSecurityGroups", Observe),
    op!("ec2", "DescribeSubnets", Observe),
    op!("ec2", "DescribeVolumes", Observe),
    op!("ec2", "DescribeVpcAttribute", Observe),
    op!("ec2", "DescribeVpcEndpoints", Observe),
    op!("ec2", "DescribeVpcs", Observe),
    op!("ec2", "GetConsoleOutput", Observe),
    op!("ec2", "GetManagedPrefixListEntries", Observe),
    op!("ec2", "RebootInstances", Cycle),
    op!("ec2", "StartInstances", Cycle),
    op!("ec2", "StopInstances", Cycle),
    op!("ecs", "DescribeClusters", Observe),
    op!("ecs", "DescribeContainerInstances", Observe),
    op!("ecs", "DescribeServices", Observe),
    op!("ecs", "DescribeTasks", Observe),
    op!("ecs", "GetTaskProtection", Observe),
    op!("ecs", "ListClusters", Observe),
    op!("ecs", "ListContainerInstances", Observe),
    op!("ecs", "ListTasks", Observe),
    op!("ecs", "UpdateContainerInstancesState", Cycle),
    op!("ecs", "DeregisterContainerInstance", Replace),
    op!("autoscaling", "DescribeAutoScalingGroups", Observe),
    op!("autoscaling", "DescribeInstanceRefreshes", Observe),
    op!("autoscaling", "EnterStandby", Cycle),
    op!("autoscaling", "ExitStandby", Cycle),
    op!("autoscaling", "TerminateInstanceInAutoScalingGroup", Replace),
    op!("iam", "GetInstanceProfile", Observe),
    op!("iam", "GetRole", Observe),
    op!("iam", "SimulatePrincipalPolicy", Observe),
    op!("dynamodb", "BatchGetItem", Observe),
    op!("dynamodb", "DeleteItem", Observe),
    op!("dynamodb", "Query", Observe),
    op!("dynamodb", "TransactWriteItems", Observe),
    op!("states", "DescribeExecution", Observe),
    op!("states", "StartExecution", Observe),
    op!("sns", "Publish", Observe),
}

/// What only `defib check` calls, with the rights of whoever asks: no role of ours needs it.
pub const OF_CHECK: &[(&str, &str)] = &[("ssm", "DescribeActivations")];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The SDK's services by their fields in `Clients`, and as IAM writes them.
    const SERVICES: [(&str, &str); 8] = [
        ("ssm", "ssm"),
        ("ec2", "ec2"),
        ("ecs", "ecs"),
        ("autoscaling", "autoscaling"),
        ("iam", "iam"),
        ("dynamodb", "dynamodb"),
        ("sfn", "states"),
        ("sns", "sns"),
    ];

    fn sources(directory: &Path, found: &mut String) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("operations.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                // A chain is broken over lines anywhere.
                found.extend(text.chars().filter(|c| !c.is_whitespace()));
            }
        }
    }

    fn pascal(snake: &str) -> String {
        let word = |word: &str| word[..1].to_uppercase() + &word[1..];
        snake.split('_').map(word).collect()
    }

    fn called() -> BTreeSet<(String, String)> {
        let mut text = String::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/aws"), &mut text);
        let mut called = BTreeSet::new();
        for (field, service) in SERVICES {
            for holder in ["clients", "self"] {
                for (at, start) in text.match_indices(&format!("{holder}.{field}.")) {
                    let call = &text[at + start.len()..];
                    let name: String = call.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                    assert!(call[name.len()..].starts_with('('), "not a call: {}", &call[..40]);
                    // Whoever works with one service holds its client.
                    if name != "clone" {
                        called.insert((service.to_owned(), pascal(&name)));
                    }
                }
            }
        }
        called
    }

    #[test]
    fn the_table_holds_what_the_code_calls_and_nothing_else() {
        let table: BTreeSet<(String, String)> =
            OPERATIONS.iter().map(|row| (row.service.to_owned(), row.operation.to_owned())).collect();
        assert_eq!(table.len(), OPERATIONS.len(), "a row stands twice");
        let of_check = OF_CHECK.iter().map(|(service, operation)| ((*service).to_owned(), (*operation).to_owned()));
        assert_eq!(table.union(&of_check.collect()).cloned().collect::<BTreeSet<_>>(), called());
    }

    #[test]
    fn nothing_that_changes_a_node_is_allowed_in_observe() {
        let reads = ["Describe", "Get", "List", "Simulate"];
        for row in OPERATIONS.iter().filter(|row| ["ec2", "ecs", "autoscaling", "iam"].contains(&row.service)) {
            let is_read = reads.iter().any(|read| row.operation.starts_with(read));
            assert_eq!(is_read, row.mode == Mode::Observe, "{}", row.operation);
        }
    }
}
