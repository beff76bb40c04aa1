//! The parts of a deployment, as `defib doctor` looks at them.

use aws_sdk_sqs::types::QueueAttributeName;

use super::{Deployment, Failed};
use crate::aws::fault::Fault;
use crate::aws::operations::OPERATIONS;
use crate::policy::Mode;

/// The queue between EventBridge and the function, by Lambda's mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// The queue's ARN.
    pub queue: String,
    /// Whether Lambda polls it: `Enabled`, or what Lambda says instead.
    pub state: String,
}

/// How many messages a queue holds; none where SQS does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Ready to be received.
    pub visible: Option<u64>,
    /// Received and not yet deleted.
    pub in_flight: Option<u64>,
}

/// A queue, and the one that takes what keeps failing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dug {
    /// The intake.
    pub intake: Depth,
    /// The dead-letter queue; none where the intake names none.
    pub dead: Option<Depth>,
}

/// What IAM says of the role's rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// How many actions were asked for.
    pub asked: usize,
    /// Those that the role may not do.
    pub denied: Vec<String>,
}

impl Deployment {
    /// The queues that Lambda polls for the function.
    ///
    /// # Errors
    /// AWS did not say.
    pub async fn feeds(&self) -> Result<Vec<Feed>, Failed> {
        let ask = self.lambda.list_event_source_mappings().function_name(&self.function.name);
        let all = ask.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let all = all.map_err(|error| Failed(Fault::of("ListEventSourceMappings", error)))?;
        let feed = |one: &aws_sdk_lambda::types::EventSourceMappingConfiguration| Feed {
            queue: one.event_source_arn().unwrap_or_default().to_owned(),
            state: one.state().unwrap_or("unknown").to_owned(),
        };
        Ok(all.iter().map(feed).collect())
    }

    /// How much lies in a queue, and in its dead-letter queue.
    ///
    /// # Errors
    /// AWS did not say.
    pub async fn dig(&self, queue: &str) -> Result<Dug, Failed> {
        let (intake, redrive) = self.depth(queue).await?;
        let dead = redrive
            .and_then(|policy| serde_json::from_str::<serde_json::Value>(&policy).ok())
            .and_then(|policy| policy.get("deadLetterTargetArn")?.as_str().map(ToOwned::to_owned));
        let dead = match dead {
            Some(queue) => Some(self.depth(&queue).await?.0),
            None => None,
        };
        Ok(Dug { intake, dead })
    }

    /// The depth of a queue by its ARN, and its redrive policy.
    async fn depth(&self, arn: &str) -> Result<(Depth, Option<String>), Failed> {
        let name = arn.rsplit(':').next().unwrap_or(arn);
        let found = self.sqs.get_queue_url().queue_name(name).send().await;
        let found = found.map_err(|error| Failed(Fault::of("GetQueueUrl", error)))?;
        let ask = self.sqs.get_queue_attributes().set_queue_url(found.queue_url).set_attribute_names(Some(vec![
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::RedrivePolicy,
        ]));
        let answer = ask.send().await.map_err(|error| Failed(Fault::of("GetQueueAttributes", error)))?;
        let text = |name| answer.attributes().and_then(|all| all.get(&name));
        let number = |name| text(name).and_then(|value| value.parse().ok());
        let depth = Depth {
            visible: number(QueueAttributeName::ApproximateNumberOfMessages),
            in_flight: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        };
        Ok((depth, text(QueueAttributeName::RedrivePolicy).cloned()))
    }

    /// How many people or machines have confirmed that they want the topic's messages, and how many have not yet.
    ///
    /// # Errors
    /// AWS did not say.
    pub async fn listeners(&self, topic: &str) -> Result<(Option<u32>, Option<u32>), Failed> {
        let answer = self.clients.sns.get_topic_attributes().topic_arn(topic).send().await;
        let answer = answer.map_err(|error| Failed(Fault::of("GetTopicAttributes", error)))?;
        let number = |name| answer.attributes().and_then(|all| all.get(name)).and_then(|value| value.parse().ok());
        Ok((number("SubscriptionsConfirmed"), number("SubscriptionsPending")))
    }

    /// Whether a document of Systems Manager is ready: `Active`, or what it is instead.
    ///
    /// # Errors
    /// AWS did not say, or has none of this name.
    pub async fn document(&self, name: &str) -> Result<String, Failed> {
        let answer = self.clients.ssm.describe_document().name(name).send().await;
        let answer = answer.map_err(|error| Failed(Fault::of("DescribeDocument", error)))?;
        let status = answer.document().and_then(|document| document.status());
        Ok(status.map_or("unknown", |status| status.as_str()).to_owned())
    }

    /// Whether whoever runs this may invoke the function: Lambda checks it without a run.
    ///
    /// # Errors
    /// He may not, or AWS did not say.
    pub async fn may_invoke(&self) -> Result<(), Failed> {
        let ask = self.lambda.invoke().function_name(&self.function.name);
        let ask = ask.invocation_type(aws_sdk_lambda::types::InvocationType::DryRun);
        ask.send().await.map(|_| ()).map_err(|error| Failed(Fault::of("Invoke", error)))
    }

    /// What IAM's simulation says of the reads and remedies that a mode needs, for resources with the opt-in tag.
    ///
    /// # Errors
    /// AWS did not say.
    pub async fn rights(&self, mode: Mode) -> Result<Rights, Failed> {
        let actions: Vec<String> = OPERATIONS
            .iter()
            .filter(|row| row.mode <= mode && row.operation != "TransactWriteItems")
            .map(|row| format!("{}:{}", row.service, row.operation))
            .collect();
        let tag = aws_sdk_iam::types::ContextEntry::builder()
            .context_key_name("aws:ResourceTag/defib:managed")
            .context_key_values("true")
            .context_key_type(aws_sdk_iam::types::ContextKeyTypeEnum::String)
            .build();
        let ask = self.clients.iam.simulate_principal_policy().policy_source_arn(&self.function.role);
        let ask = ask.set_action_names(Some(actions)).context_entries(tag).max_items(1_000);
        let answer = ask.send().await.map_err(|error| Failed(Fault::of("SimulatePrincipalPolicy", error)))?;
        let denied = answer
            .evaluation_results()
            .iter()
            .filter(|row| *row.eval_decision() != aws_sdk_iam::types::PolicyEvaluationDecisionType::Allowed)
            .map(|row| row.eval_action_name().to_owned())
            .collect();
        // A list that was cut says nothing of the rest.
        Ok(Rights { asked: answer.evaluation_results().len(), denied })
    }
}
