//! People are told: one message to the SNS topic, in every form that a subscriber may want.

use std::sync::Arc;

use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;

use super::fault::Fault;
use crate::ports::{OutboxItem, PortError};
use crate::report::{StackInfo, render, render_digest};
use crate::storm::Digest;

/// The topic.
#[derive(Debug, Clone)]
pub struct Topic {
    sns: Client,
    arn: Arc<str>,
}

/// A message in the form that SNS takes.
struct Ready {
    subject: String,
    json: String,
    attributes: Vec<(&'static str, String)>,
}

impl Topic {
    /// The topic of this ARN.
    #[must_use]
    pub fn new(sns: Client, arn: Arc<str>) -> Self {
        Self { sns, arn }
    }

    /// Publishes a report. A repeat carries the same report id, so that a machine can tell.
    ///
    /// # Errors
    /// SNS did not take it, or did not answer: it may have been sent.
    pub async fn report(&self, item: &OutboxItem, stack: &StackInfo<'_>) -> Result<(), PortError> {
        let message = render(&item.report, &item.id, stack);
        let json = message.sns_json();
        self.send(Ready { subject: message.subject, json, attributes: message.attributes }).await
    }

    /// Publishes a digest.
    ///
    /// # Errors
    /// As for a report.
    pub async fn digest(&self, digest: &Digest, stack: &StackInfo<'_>) -> Result<(), PortError> {
        let message = render_digest(digest, stack);
        let json = message.sns_json();
        self.send(Ready { subject: message.subject, json, attributes: message.attributes }).await
    }

    async fn send(&self, ready: Ready) -> Result<(), PortError> {
        let mut ask = self
            .sns
            .publish()
            .topic_arn(&*self.arn)
            .subject(ready.subject)
            .message(ready.json)
            .message_structure("json");
        for (name, value) in ready.attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            ask = ask.message_attributes(name, value.map_err(|_| PortError::Transient)?);
        }
        ask.send().await.map(|_| ()).map_err(|error| Fault::of("Publish", error).into())
    }
}
