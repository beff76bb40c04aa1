//! The DynamoDB table: items with a revision each, read consistently and written in transactions.
//!
//! Every item is `pk`, `sk`, `rev` (a number that rises with each write) and `body` (a JSON text), and `expires_at` where it may go
//! some day. What was decided on an item is written on the condition that its revision is still the one that was read.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, KeysAndAttributes, Put, Select, TransactWriteItem,
};
use jiff::Timestamp;

use super::fault::Fault;
use crate::ports::PortError;

/// A transaction takes so many items (DynamoDB, `TransactWriteItems`).
pub const WRITES_MAX: usize = 100;
/// `BatchGetItem` takes so many keys.
const KEYS_MAX: usize = 100;
/// Reads that DynamoDB put off are asked for again so often.
const AGAIN_MAX: usize = 5;

/// Where an item lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The partition key.
    pub pk: String,
    /// The sort key.
    pub sk: String,
}

/// An item as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its revision.
    pub rev: u64,
    /// Its JSON text.
    pub body: String,
}

/// What must still be so when an item is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It is not there.
    Absent,
    /// It has this revision.
    Rev(u64),
    /// Nothing.
    Anything,
}

impl Expect {
    /// That nobody wrote it since it was read.
    #[must_use]
    pub fn unchanged(read: Option<&Stored>) -> Self {
        read.map_or(Self::Absent, |stored| Self::Rev(stored.rev))
    }

    /// The revision that follows.
    fn next(self) -> u64 {
        match self {
            Self::Absent | Self::Anything => 1,
            Self::Rev(rev) => rev.saturating_add(1),
        }
    }
}

/// One part of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Stores an item.
    Put {
        /// Where.
        key: Key,
        /// What.
        body: String,
        /// If this is still so.
        expect: Expect,
        /// When DynamoDB may delete it; never for what holds a permit.
        expires_at: Option<Timestamp>,
    },
    /// Deletes an item.
    Delete {
        /// Where.
        key: Key,
    },
    /// Only checks.
    Check {
        /// Where.
        key: Key,
        /// That this is still so.
        expect: Expect,
    },
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transacted {
    /// All of it was written.
    Saved,
    /// Something was not as expected, or others write just now: nothing was written; read again and decide again.
    /// `TransactionConflict` means again and never a refusal (DESIGN.md §2).
    Again,
    /// No answer came: it may have been written.
    Unknown,
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    dynamodb: Client,
    name: Arc<str>,
}

impl Table {
    /// The table of this name.
    #[must_use]
    pub fn new(dynamodb: Client, name: Arc<str>) -> Self {
        Self { dynamodb, name }
    }

    /// Reads items by their keys; those that are not there are left out.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn get(&self, keys: &[Key]) -> Result<BTreeMap<Key, Stored>, PortError> {
        let mut found = BTreeMap::new();
        let mut unique: Vec<&Key> = keys.iter().collect();
        unique.sort();
        unique.dedup();
        for chunk in unique.chunks(KEYS_MAX) {
            let wanted = chunk.iter().map(|key| attributes(key)).collect();
            let mut left = Some(keys_and_attributes(wanted)?);
            let mut asked = 0;
            while let Some(ask) = left.take() {
                if asked == AGAIN_MAX {
                    tracing::warn!("DynamoDB put {} reads off again and again", ask.keys().len());
                    return Err(PortError::Transient);
                }
                asked += 1;
                let answer = self.dynamodb.batch_get_item().request_items(&*self.name, ask).send().await;
                let answer = answer.map_err(|error| failed("BatchGetItem", error))?;
                // Without its lists it is no answer: what a list leaves out is not there, and then much is allowed.
                for item in answer.responses.ok_or(PortError::Transient)?.into_values().flatten() {
                    let (key, stored) = stored(&item).ok_or(PortError::Transient)?;
                    found.insert(key, stored);
                }
                left = answer
                    .unprocessed_keys
                    .and_then(|mut keys| keys.remove(&*self.name))
                    .filter(|ask| !ask.keys().is_empty());
            }
        }
        Ok(found)
    }

    /// Reads every item of a partition whose sort key begins like this, in the order of the sort key.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn query(&self, pk: &str, begins: &str) -> Result<Vec<(Key, Stored)>, PortError> {
        let mut ask = self.partition(pk);
        if !begins.is_empty() {
            ask = ask
                .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
                .expression_attribute_values(":sk", AttributeValue::S(begins.to_owned()));
        }
        let (mut items, mut pages) = (Vec::new(), ask.into_paginator().send());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("Query", error))?;
            // Without its list it is no answer.
            for item in page.items.ok_or(PortError::Transient)? {
                items.push(stored(&item).ok_or(PortError::Transient)?);
            }
        }
        Ok(items)
    }

    /// Reads every item with this sort key, whatever its partition. It goes through the whole table.
    ///
    /// # Errors
    /// The table did not answer.
    #[cfg(feature = "operate")]
    pub async fn everywhere(&self, sk: &str) -> Result<Vec<(Key, Stored)>, PortError> {
        // Not one of the function's own calls: it has no right to it.
        let ask = self.dynamodb.scan().table_name(&*self.name).consistent_read(true).filter_expression("sk = :sk");
        let ask = ask.expression_attribute_values(":sk", AttributeValue::S(sk.to_owned()));
        let (mut items, mut pages) = (Vec::new(), ask.into_paginator().send());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("Scan", error))?;
            for item in page.items.ok_or(PortError::Transient)? {
                items.push(stored(&item).ok_or(PortError::Transient)?);
            }
        }
        Ok(items)
    }

    /// Counts the items of a partition.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn count(&self, pk: &str) -> Result<usize, PortError> {
        let (mut count, mut pages) = (0, self.partition(pk).select(Select::Count).into_paginator().send());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("Query", error))?;
            count += usize::try_from(page.count).unwrap_or(0);
        }
        Ok(count)
    }

    fn partition(&self, pk: &str) -> QueryFluentBuilder {
        let ask = self.dynamodb.query().table_name(&*self.name).consistent_read(true);
        ask.key_condition_expression("pk = :pk").expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
    }

    /// Writes all of it, or nothing.
    ///
    /// # Errors
    /// DynamoDB refused it for a reason that trying again does not change; nothing was written.
    pub async fn transact(&self, writes: &[Write]) -> Result<Transacted, PortError> {
        let mut items = Vec::with_capacity(writes.len());
        for write in writes {
            items.push(self.part(write)?);
        }
        match self.dynamodb.transact_write_items().set_transact_items(Some(items)).send().await {
            Ok(_) => Ok(Transacted::Saved),
            Err(error) => refused(error),
        }
    }

    /// Deletes an item.
    ///
    /// # Errors
    /// The table did not answer; it may be gone.
    pub async fn delete(&self, key: &Key) -> Result<(), PortError> {
        let ask = self.dynamodb.delete_item().table_name(&*self.name).set_key(Some(attributes(key)));
        ask.send().await.map(|_| ()).map_err(|error| failed("DeleteItem", error))
    }

    fn part(&self, write: &Write) -> Result<TransactWriteItem, PortError> {
        let built = match write {
            Write::Put { key, body, expect, expires_at } => {
                let mut put = Put::builder()
                    .table_name(&*self.name)
                    .set_item(Some(attributes(key)))
                    .item("rev", AttributeValue::N(expect.next().to_string()))
                    .item("body", AttributeValue::S(body.clone()));
                if let Some(at) = expires_at {
                    put = put.item("expires_at", AttributeValue::N(at.as_second().to_string()));
                }
                let put = match condition(*expect) {
                    Some((text, values)) => put.condition_expression(text).set_expression_attribute_values(values),
                    None => put,
                };
                put.build().map(|put| TransactWriteItem::builder().put(put).build())
            }
            Write::Delete { key } => Delete::builder()
                .table_name(&*self.name)
                .set_key(Some(attributes(key)))
                .build()
                .map(|delete| TransactWriteItem::builder().delete(delete).build()),
            Write::Check { key, expect } => {
                // A check of nothing is no check; DynamoDB wants an expression all the same.
                let (text, values) =
                    condition(*expect).unwrap_or(("attribute_not_exists(pk) OR attribute_exists(pk)", None));
                ConditionCheck::builder()
                    .table_name(&*self.name)
                    .set_key(Some(attributes(key)))
                    .condition_expression(text)
                    .set_expression_attribute_values(values)
                    .build()
                    .map(|check| TransactWriteItem::builder().condition_check(check).build())
            }
        };
        built.map_err(|error| {
            tracing::error!("a transaction could not be written down: {error}");
            PortError::Transient
        })
    }
}

type Attributes = std::collections::HashMap<String, AttributeValue>;

fn condition(expect: Expect) -> Option<(&'static str, Option<Attributes>)> {
    match expect {
        Expect::Absent => Some(("attribute_not_exists(pk)", None)),
        Expect::Rev(rev) => {
            Some(("rev = :rev", Some(Attributes::from([(":rev".to_owned(), AttributeValue::N(rev.to_string()))]))))
        }
        Expect::Anything => None,
    }
}

fn attributes(key: &Key) -> Attributes {
    Attributes::from([
        ("pk".to_owned(), AttributeValue::S(key.pk.clone())),
        ("sk".to_owned(), AttributeValue::S(key.sk.clone())),
    ])
}

fn keys_and_attributes(keys: Vec<Attributes>) -> Result<KeysAndAttributes, PortError> {
    KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build().map_err(|_| PortError::Transient)
}

/// An item of ours; none for anything else.
fn stored(item: &Attributes) -> Option<(Key, Stored)> {
    let text = |name: &str| item.get(name)?.as_s().ok().cloned();
    let rev = item.get("rev")?.as_n().ok()?.parse().ok()?;
    let read = text("pk").zip(text("sk")).zip(text("body"));
    let ((pk, sk), body) = read.or_else(|| {
        tracing::error!("an item of the table has no body");
        None
    })?;
    Some((Key { pk, sk }, Stored { rev, body }))
}

/// What a refused transaction means. A lost condition and a conflict mean again; what was not answered may have been written.
fn refused(error: SdkError<TransactWriteItemsError>) -> Result<Transacted, PortError> {
    let canceled = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => canceled,
        // The SDK tried again, with the same token, while an earlier try was still at work: that one may be written.
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => return Ok(Transacted::Unknown),
        _ => {
            let fault = Fault::of("TransactWriteItems", error);
            fault.tell();
            return if fault.refused { Err(PortError::Transient) } else { Ok(Transacted::Unknown) };
        }
    };
    let mut codes: Vec<&str> = canceled.cancellation_reasons().iter().filter_map(|reason| reason.code()).collect();
    codes.retain(|code| *code != "None");
    if codes.iter().any(|code| matches!(*code, "ConditionalCheckFailed" | "TransactionConflict")) {
        return Ok(Transacted::Again);
    }
    // Throttling, or a size that DynamoDB does not take: nothing was written.
    tracing::warn!("DynamoDB cancelled a transaction: {}", codes.join(", "));
    Err(PortError::Transient)
}

fn failed<E: aws_sdk_dynamodb::error::ProvideErrorMetadata>(operation: &'static str, error: SdkError<E>) -> PortError {
    Fault::of(operation, error).into()
}
