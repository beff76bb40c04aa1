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

/// What only the command line calls, with the rights of whoever asks: no role of ours needs it.
pub const OF_COMMAND_LINE: &[(&str, &str)] = &[
    ("dynamodb", "Scan"),
    ("lambda", "GetFunctionConfiguration"),
    ("lambda", "Invoke"),
    ("lambda", "ListEventSourceMappings"),
    ("lambda", "ListFunctions"),
    ("sns", "GetTopicAttributes"),
    ("sqs", "GetQueueAttributes"),
    ("sqs", "GetQueueUrl"),
    ("ssm", "DescribeActivations"),
    ("ssm", "DescribeDocument"),
    ("sts", "GetCallerIdentity"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The SDK's services by the fields that hold their clients, and as IAM writes them.
    const SERVICES: [(&str, &str); 11] = [
        ("ssm", "ssm"),
        ("ec2", "ec2"),
        ("ecs", "ecs"),
        ("autoscaling", "autoscaling"),
        ("iam", "iam"),
        ("dynamodb", "dynamodb"),
        ("sfn", "states"),
        ("sns", "sns"),
        ("lambda", "lambda"),
        ("sqs", "sqs"),
        ("sts", "sts"),
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
            // Before there is a deployment that holds it, Lambda's client is at hand by itself.
            let holders = ["clients.", "self.", "=", ","];
            for holder in &holders[..if field == "lambda" { 4 } else { 2 }] {
                for (at, start) in text.match_indices(&format!("{holder}{field}.")) {
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
        let others = of_command_line();
        assert!(table.is_disjoint(&others), "what the function calls, too, stands in its table");
        assert_eq!(table.union(&others).cloned().collect::<BTreeSet<_>>(), called());
    }

    fn of_command_line() -> BTreeSet<(String, String)> {
        OF_COMMAND_LINE.iter().map(|(service, operation)| ((*service).to_owned(), (*operation).to_owned())).collect()
    }

    /// The words of a cell that stand between backticks.
    fn quoted(cell: &str) -> Vec<&str> {
        cell.split('`').skip(1).step_by(2).collect()
    }

    /// Service and operation of each operation that a cell names. A service holds until the next one is named; `DryRun` is none.
    fn named(cell: &str) -> Vec<(String, String)> {
        let mut service = None;
        let mut found = Vec::new();
        for word in quoted(cell).into_iter().filter(|word| *word != "DryRun") {
            let operation = word.split_once(':').map_or(word, |(before, operation)| {
                service = Some(before);
                operation
            });
            found.push((service.expect("a row begins with a service").to_owned(), operation.to_owned()));
        }
        found
    }

    /// Whether a source file calls an operation.
    fn calls(file: &str, operation: &str) -> bool {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/aws").join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("no {}", path.display()));
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let mut snake = String::new();
        for c in operation.chars() {
            if c.is_ascii_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
        }
        text.contains(&format!(".{snake}("))
    }

    #[test]
    fn the_page_of_calls_has_every_operation_and_no_other_each_where_it_is_called() {
        let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CALLS.md")).unwrap();
        let section = page.split("\n## Every operation\n").nth(1).unwrap().split("\n## ").next().unwrap();
        // By the number of columns: what the function calls has class and keeping.
        let (mut function, mut command_line) = (BTreeSet::new(), BTreeSet::new());
        for line in section.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let (known, files) = match cells[..] {
                [_, _, _, files, _] => (&mut function, quoted(files)),
                [_, _, files] => (&mut command_line, quoted(files)),
                _ => panic!("a row of another table: {line}"),
            };
            for (service, operation) in named(cells[0]) {
                assert!(files.iter().any(|file| calls(file, &operation)), "{operation} is not called in {files:?}");
                known.insert((service, operation));
            }
        }
        let own = OPERATIONS.iter().map(|row| (row.service.to_owned(), row.operation.to_owned())).collect();
        assert_eq!(function, own);
        assert_eq!(command_line, of_command_line());
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
