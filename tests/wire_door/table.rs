//! As much of DynamoDB, Step Functions, SNS and the parameter store as Defib asks of them, by AWS's documentation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use super::{Request, Response, Upstream};

type Key = (String, String);

/// What is stored, started and told.
#[derive(Debug, Default)]
pub(crate) struct Store {
    items: Mutex<BTreeMap<Key, Value>>,
    /// `ClientRequestToken`s of transactions that were written: the same one again writes nothing, and is no error.
    tokens: Mutex<BTreeSet<String>>,
    /// Items a page of a query; none: all.
    pub(crate) page: Mutex<Option<usize>>,
    /// So many answers to `BatchGetItem` put keys off.
    pub(crate) put_off: Mutex<usize>,
    /// Answers in the place of the next transactions.
    pub(crate) next: Mutex<VecDeque<Response>>,
    /// The same token again is told as "still at work".
    pub(crate) still_at_work: Mutex<bool>,
    /// Executions by name, with their status.
    pub(crate) executions: Mutex<BTreeMap<String, &'static str>>,
    pub(crate) told: Mutex<Vec<Request>>,
    answered: Mutex<Vec<(Request, Response)>>,
}

impl Store {
    pub(crate) fn upstream(self: &Arc<Self>) -> Upstream {
        let store = Arc::clone(self);
        Upstream::canned(move |request| store.answer(request))
    }

    /// The body of an item.
    pub(crate) fn body(&self, pk: &str, sk: &str) -> Option<Value> {
        let items = self.items.lock().unwrap();
        let body = items.get(&(pk.to_owned(), sk.to_owned()))?["body"]["S"].as_str().map(ToOwned::to_owned)?;
        serde_json::from_str(&body).ok()
    }

    /// What was answered to a request of the past.
    pub(crate) fn replay(&self, request: &Request) -> Response {
        let answered = self.answered.lock().unwrap();
        answered.iter().find(|(asked, _)| asked == request).map(|(_, answer)| answer.clone()).unwrap()
    }

    fn answer(&self, request: &Request) -> Response {
        let answer = self.decide(request);
        self.answered.lock().unwrap().push((request.clone(), answer.clone()));
        answer
    }

    fn decide(&self, request: &Request) -> Response {
        let body = request.json();
        match request.operation.as_str() {
            "BatchGetItem" => self.batch_get(&body),
            "Query" => self.query(&body),
            "TransactWriteItems" => self.transact(&body),
            "DeleteItem" => {
                self.items.lock().unwrap().remove(&key(&body["Key"]));
                Response::json(200, &json!({}))
            }
            "StartExecution" => self.start(&body),
            "DescribeExecution" => self.describe(&body),
            "GetParameter" => {
                let parameter = json!({"Name": body["Name"], "Type": "String", "Value": "mode: cycle\n", "Version": 1});
                Response::json(200, &json!({ "Parameter": parameter }))
            }
            "Publish" => {
                self.told.lock().unwrap().push(request.clone());
                Response::xml(
                    200,
                    "<PublishResponse xmlns=\"https://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
                     <MessageId>94f20ce6-13c5-43a0-9a9e-ca52d816e90b</MessageId></PublishResult><ResponseMetadata>\
                     <RequestId>f187a3c1-376f-11df-8963-01868b7c937a</RequestId></ResponseMetadata></PublishResponse>",
                )
            }
            other => Response::json_error(400, "UnknownOperationException", json!({ "message": other })),
        }
    }

    fn batch_get(&self, body: &Value) -> Response {
        let (table, ask) = body["RequestItems"].as_object().unwrap().iter().next().unwrap();
        assert_eq!(ask["ConsistentRead"], true, "a decision rests on it");
        let mut wanted: Vec<Value> = ask["Keys"].as_array().unwrap().clone();
        let mut put_off = self.put_off.lock().unwrap();
        let mut left = Vec::new();
        if *put_off > 0 {
            *put_off -= 1;
            left = wanted.split_off(wanted.len() / 2);
        }
        let items = self.items.lock().unwrap();
        let found: Vec<&Value> = wanted.iter().filter_map(|wanted| items.get(&key(wanted))).collect();
        let mut unprocessed = Map::new();
        if !left.is_empty() {
            unprocessed.insert(table.clone(), json!({ "Keys": left, "ConsistentRead": true }));
        }
        Response::json(200, &json!({ "Responses": { table.as_str(): found }, "UnprocessedKeys": unprocessed }))
    }

    fn query(&self, body: &Value) -> Response {
        assert_eq!(body["ConsistentRead"], true, "a decision rests on it");
        let values = &body["ExpressionAttributeValues"];
        let (pk, sk) = (values[":pk"]["S"].as_str().unwrap(), values[":sk"]["S"].as_str().unwrap_or_default());
        let from = body["ExclusiveStartKey"].as_object().map(|_| key(&body["ExclusiveStartKey"]));
        let items = self.items.lock().unwrap();
        let all = items.iter().filter(|((p, s), _)| p == pk && s.starts_with(sk));
        let mut rest = all.filter(|(key, _)| from.as_ref().is_none_or(|from| *key > from)).peekable();
        let page = self.page.lock().unwrap().unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut last = None;
        while found.len() < page
            && let Some(((pk, sk), item)) = rest.next()
        {
            found.push(item);
            last = Some(json!({ "pk": { "S": pk }, "sk": { "S": sk } }));
        }
        let mut answer = json!({ "Count": found.len(), "ScannedCount": found.len() });
        if body["Select"] != "COUNT" {
            answer["Items"] = json!(found);
        }
        if rest.peek().is_some() {
            answer["LastEvaluatedKey"] = json!(last);
        }
        Response::json(200, &answer)
    }

    fn transact(&self, body: &Value) -> Response {
        if let Some(next) = self.next.lock().unwrap().pop_front() {
            return next;
        }
        let token = body["ClientRequestToken"].as_str().unwrap().to_owned();
        if !self.tokens.lock().unwrap().insert(token.clone()) {
            if *self.still_at_work.lock().unwrap() {
                let message =
                    json!({ "Message": "The transaction with the given request token is already in progress." });
                return Response::json_error(400, "TransactionInProgressException", message);
            }
            return Response::json(200, &json!({}));
        }
        let mut items = self.items.lock().unwrap();
        let parts = body["TransactItems"].as_array().unwrap();
        let codes: Vec<&str> =
            parts.iter().map(|part| if holds(part, &items) { "None" } else { "ConditionalCheckFailed" }).collect();
        if codes.iter().any(|code| *code != "None") {
            self.tokens.lock().unwrap().remove(&token);
            return cancelled(&codes);
        }
        for part in parts {
            if let Some(item) = part["Put"].get("Item") {
                items.insert(key(item), item.clone());
            } else if let Some(gone) = part["Delete"].get("Key") {
                items.remove(&key(gone));
            }
        }
        Response::json(200, &json!({}))
    }

    fn start(&self, body: &Value) -> Response {
        let name = body["name"].as_str().unwrap().to_owned();
        let mut executions = self.executions.lock().unwrap();
        if executions.contains_key(&name) {
            let message = json!({ "message": "Execution Already Exists" });
            return Response::json_error(400, "ExecutionAlreadyExists", message);
        }
        let machine = body["stateMachineArn"].as_str().unwrap().replace(":stateMachine:", ":execution:");
        let answer = json!({ "executionArn": format!("{machine}:{name}"), "startDate": 1_795_176_000.0 });
        executions.insert(name, "RUNNING");
        Response::json(200, &answer)
    }

    fn describe(&self, body: &Value) -> Response {
        let arn = body["executionArn"].as_str().unwrap();
        let name = arn.rsplit(':').next().unwrap();
        match self.executions.lock().unwrap().get(name) {
            Some(status) => Response::json(
                200,
                &json!({ "executionArn": arn, "name": name, "status": status, "startDate": 1_795_176_000.0,
                         "stateMachineArn": "arn:aws:states:us-east-1:111122223333:stateMachine:defib-timer" }),
            ),
            None => {
                Response::json_error(400, "ExecutionDoesNotExist", json!({ "message": "Execution Does Not Exist" }))
            }
        }
    }
}

/// A transaction that was cancelled, with a reason for each of its parts.
pub(crate) fn cancelled(codes: &[&str]) -> Response {
    let reasons: Vec<Value> = codes
        .iter()
        .map(|code| match *code {
            "None" => json!({ "Code": "None" }),
            code => json!({ "Code": code, "Message": "the transaction was cancelled" }),
        })
        .collect();
    let message =
        format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{}]", codes.join(", "));
    let more = json!({ "Message": message, "CancellationReasons": reasons });
    Response::json_error(400, "TransactionCanceledException", more)
}

fn key(of: &Value) -> Key {
    let text = |name: &str| of[name]["S"].as_str().unwrap().to_owned();
    (text("pk"), text("sk"))
}

/// Whether a part's condition holds.
fn holds(part: &Value, items: &BTreeMap<Key, Value>) -> bool {
    let (kind, part) = part.as_object().unwrap().iter().next().unwrap();
    let stored = items.get(&key(if kind == "Put" { &part["Item"] } else { &part["Key"] }));
    match part["ConditionExpression"].as_str() {
        None | Some("attribute_not_exists(pk) OR attribute_exists(pk)") => true,
        Some("attribute_not_exists(pk)") => stored.is_none(),
        Some("rev = :rev") => stored.is_some_and(|item| item["rev"] == part["ExpressionAttributeValues"][":rev"]),
        Some(other) => panic!("a condition that nobody knows: {other}"),
    }
}
