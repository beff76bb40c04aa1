//! What a deployment on AWS works with: the names of its table, topic, timer and documents.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::settings::{BadSetting, missing};
use crate::node::DocumentName;

/// Names as the settings gave them; each may be missing on the embedded account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources {
    /// The DynamoDB table that the ledger lies in.
    pub table: Option<Arc<str>>,
    /// The ARN of the SNS topic.
    pub topic: Option<Arc<str>>,
    /// The ARN of the Step Functions state machine that wakes incidents.
    pub state_machine: Option<Arc<str>>,
    /// The SSM parameter with the policy document.
    pub policy_parameter: Option<Arc<str>>,
    /// The document of the read-only probe.
    pub probe_document: Option<DocumentName>,
    /// The document of the repairs on the host.
    pub repair_document: Option<DocumentName>,
    /// ARNs of the KMS keys of volumes, for which EC2 gets a grant when an instance starts.
    pub volume_keys: BTreeSet<Arc<str>>,
}

/// The same, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The DynamoDB table that the ledger lies in.
    pub table: Arc<str>,
    /// The ARN of the SNS topic.
    pub topic: Arc<str>,
    /// The ARN of the Step Functions state machine that wakes incidents.
    pub state_machine: Arc<str>,
    /// The SSM parameter with the policy document; none: the settings are all there is.
    pub policy_parameter: Option<Arc<str>>,
    /// The document of the read-only probe.
    pub probe_document: DocumentName,
    /// The document of the repairs on the host.
    pub repair_document: DocumentName,
    /// ARNs of the KMS keys of volumes, for which EC2 gets a grant when an instance starts.
    pub volume_keys: BTreeSet<Arc<str>>,
}

impl Resources {
    /// Everything that the AWS account needs.
    ///
    /// # Errors
    /// The first setting that is missing.
    pub fn complete(&self) -> Result<Deployment, BadSetting> {
        Ok(Deployment {
            table: self.table.clone().ok_or_else(|| missing("DEFIB_TABLE"))?,
            topic: self.topic.clone().ok_or_else(|| missing("DEFIB_TOPIC"))?,
            state_machine: self.state_machine.clone().ok_or_else(|| missing("DEFIB_STATE_MACHINE"))?,
            policy_parameter: self.policy_parameter.clone(),
            probe_document: self.probe_document.clone().ok_or_else(|| missing("DEFIB_PROBE_DOCUMENT"))?,
            repair_document: self.repair_document.clone().ok_or_else(|| missing("DEFIB_REPAIR_DOCUMENT"))?,
            volume_keys: self.volume_keys.clone(),
        })
    }
}

/// A table's name: 3 to 255 letters, digits, `_`, `-` and `.` (DynamoDB, `CreateTable`).
pub(super) fn table(value: &str) -> Option<Arc<str>> {
    let fine =
        (3..=255).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    fine.then(|| value.into())
}

/// A parameter's name, with its path.
pub(super) fn parameter(value: &str) -> Option<Arc<str>> {
    let fine = value.len() <= 1_011 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./:".contains(&b));
    fine.then(|| value.into())
}

/// An ARN of a resource of this service whose last part begins like this.
pub(super) fn arn(value: &str, service: &str, resource: &str) -> Option<Arc<str>> {
    let mut parts = value.splitn(6, ':');
    let fine = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some(service)
        && parts.next().is_some_and(|region| !region.is_empty())
        && parts.next().is_some_and(|account| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()))
        && parts.next().is_some_and(|name| name.len() > resource.len() && name.starts_with(resource));
    let plain = value.len() <= 1_600 && value.bytes().all(|b| b.is_ascii_graphic());
    (fine && plain).then(|| value.into())
}

/// ARNs of KMS keys, one after the other with commas between them; none at all is fine.
pub(super) fn keys(value: &str) -> Option<BTreeSet<Arc<str>>> {
    value.split(',').map(str::trim).filter(|one| !one.is_empty()).map(|one| arn(one, "kms", "key/")).collect()
}

/// One of our own documents.
pub(super) fn document(value: &str) -> Option<DocumentName> {
    value.parse().ok().filter(DocumentName::is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_before_anything_is_called() {
        assert!(table("defib-Ledger.1").is_some());
        assert!(table("ab").is_none() && table("a/b/c").is_none());
        assert!(arn("arn:aws-us-gov:sns:us-gov-west-1:111122223333:defib", "sns", "").is_some());
        assert!(arn("arn:aws:sqs:us-east-1:111122223333:defib", "sns", "").is_none());
        assert!(
            arn("arn:aws:states:us-east-1:111122223333:stateMachine:defib-timer", "states", "stateMachine:").is_some()
        );
        assert!(arn("arn:aws:states:us-east-1:111122223333:execution:x", "states", "stateMachine:").is_none());
        let key = "arn:aws:kms:us-east-1:111122223333:key/a";
        assert_eq!(keys(&format!("{key}, {key}b")).map(|keys| keys.len()), Some(2));
        assert_eq!(keys("").map(|keys| keys.len()), Some(0));
        assert_eq!(keys("alias/aws/ebs"), None, "a volume names its key by its ARN");
        assert!(document("Defib-Probe-0a1b2c3d").is_some());
        assert!(document("AWS-RunShellScript").is_none(), "the role cannot run it, and no free text leaves us");
    }

    #[test]
    fn the_first_missing_name_is_told() {
        let told = Resources { table: table("defib"), ..Resources::default() }.complete().unwrap_err().to_string();
        assert_eq!(told, "the setting DEFIB_TOPIC is not set; allowed: the ARN of an SNS topic");
    }
}
