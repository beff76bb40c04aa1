//! Systems Manager beside its nodes: sessions, change calendars, parameters.

use serde_json::json;

use super::with_token;
use crate::fleet::error::AwsError;
use crate::fleet::input::{Body, shown};
use crate::fleet::page;
use crate::fleet::{Answered, Fleet};
use crate::node::DocumentName;
use crate::observe::Fact;

/// The setting of Default Host Management.
const HOST_MANAGEMENT: &str = "/ssm/managed-instance/default-ec2-instance-management-role";

impl Fleet {
    /// `DescribeSessions`: live sessions. The simulated account keeps no history of ended ones.
    pub(super) fn describe_sessions(&self, body: Body<'_>) -> Answered {
        let state = body.need_text("State")?;
        if !matches!(state, "Active" | "History") {
            return Err(AwsError::new("ValidationException", "State is Active or History"));
        }
        let mut target = None;
        for filter in body.objects("Filters")? {
            let (key, value) = (filter.need_text("key")?, filter.need_text("value")?);
            match key {
                "Target" => target = Some(value),
                "Status" | "Owner" | "SessionId" | "InvokedAfter" | "InvokedBefore" => {}
                _ => return Err(AwsError::new("InvalidFilterKey", format!("{} is not a filter", shown(key)))),
            }
        }
        let most = page::size(body.number("MaxResults")?, 1..=200, 200, |_| {
            AwsError::new("ValidationException", "MaxResults is from 1 to 200")
        })?;
        let mut sessions = Vec::new();
        if state == "Active" {
            for machine in &self.world.machines {
                if target.is_some_and(|wanted| wanted.parse() != Ok(machine.id)) {
                    continue;
                }
                let listed = machine.sessions();
                for id in (0..listed.live).filter_map(|number| machine.session_id(number)) {
                    sessions.push(json!({
                        "SessionId": id,
                        "Target": machine.id,
                        "Status": if listed.left.contains(&id) { "Disconnected" } else { "Connected" },
                        "StartDate": self.world.now - 600,
                        "DocumentName": "SSM-SessionManagerRunShell",
                        "Owner": self.global_arn("iam", "user/on-call"),
                        "Details": "",
                        "OutputUrl": { "S3OutputUrl": "", "CloudWatchOutputUrl": "" },
                        "MaxSessionDuration": "60",
                    }));
                }
            }
        }
        let bad = || AwsError::new("InvalidNextToken", "The specified token isn't valid.");
        let (page, next) = page::page(sessions, body.text("NextToken")?, most, bad)?;
        Ok(with_token(json!({ "Sessions": page }), next))
    }

    /// `GetServiceSetting` of Default Host Management: off, unless the fault is that its role does not trust Systems Manager.
    pub(super) fn get_service_setting(&self, body: Body<'_>) -> Answered {
        let asked = body.need_text("SettingId")?;
        let id = asked.rsplit_once(":servicesetting").map_or(asked, |(_, path)| path);
        if id != HOST_MANAGEMENT {
            return Err(AwsError::new("ServiceSettingNotFound", format!("{} is not a service setting", shown(asked))));
        }
        let value = self.host_management_role().unwrap_or("$None");
        Ok(json!({ "ServiceSetting": {
            "SettingId": id, "SettingValue": value, "Status": if value == "$None" { "Default" } else { "Customized" },
            "LastModifiedDate": self.world.now - 86_400, "LastModifiedUser": "System",
            "ARN": self.arn("ssm", &format!("servicesetting{id}")),
        }}))
    }

    /// `GetCalendarState` for the present. Of several calendars one that is closed closes all.
    pub(super) fn get_calendar_state(&self, body: Body<'_>) -> Answered {
        let names = body.texts("CalendarNames")?;
        if names.is_empty() {
            return Err(AwsError::missing(crate::fleet::protocol::Service::Ssm, "calendarNames"));
        }
        if body.text("AtTime")?.is_some() {
            return Err(AwsError::new("ValidationException", "the simulated account answers for the present only"));
        }
        let (mut open, mut changes) = (true, None);
        for name in names {
            let known = self.calendar_named(name).ok_or_else(|| {
                AwsError::new("InvalidDocument", format!("Document with name {} does not exist.", shown(name)))
            })?;
            if let Fact::Known(calendar) = self.world.calendar(Some(&known)) {
                let changes_at = calendar.changes_at;
                if calendar.open == open {
                    changes = [changes, changes_at].into_iter().flatten().min();
                } else if !calendar.open {
                    (open, changes) = (false, changes_at);
                }
            }
        }
        let mut answer = json!({
            "State": if open { "OPEN" } else { "CLOSED" },
            "AtTime": self.world.now().to_string(),
        });
        if let (Some(fields), Some(at)) = (answer.as_object_mut(), changes) {
            fields.insert("NextTransitionTime".to_owned(), json!(at.to_string()));
        }
        Ok(answer)
    }

    /// `DescribeDocument`: ours and AWS's own are there, whatever else they are called.
    pub(super) fn describe_document(&self, body: Body<'_>) -> Answered {
        let name = body.need_text("Name")?;
        let is_there =
            name.parse::<DocumentName>().is_ok() && ["Defib-", "AWS-"].iter().any(|start| name.starts_with(start));
        if !is_there {
            return Err(AwsError::new(
                "InvalidDocument",
                format!("Document with name {} does not exist.", shown(name)),
            ));
        }
        Ok(json!({ "Document": {
            "Name": name, "Status": "Active", "DocumentVersion": "1", "DefaultVersion": "1", "LatestVersion": "1",
            "DocumentType": "Command", "DocumentFormat": "YAML", "SchemaVersion": "2.2", "Owner": self.world.home.account.to_string(),
            "PlatformTypes": ["Windows", "Linux", "MacOS"],
        }}))
    }

    /// A calendar by its name or its ARN.
    fn calendar_named(&self, given: &str) -> Option<DocumentName> {
        let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
        self.world
            .calendars
            .keys()
            .find(|known| known.as_str() == given || last(known.as_str()) == last(given))
            .cloned()
    }

    /// `GetParameter`, by name or ARN.
    pub(super) fn get_parameter(&self, body: Body<'_>) -> Answered {
        let asked = body.need_text("Name")?;
        let name = match asked.split_once(":parameter") {
            Some((arn, rest)) if arn.starts_with("arn:") => {
                if self.parameters.contains_key(rest) {
                    rest
                } else {
                    rest.trim_start_matches('/')
                }
            }
            _ => asked,
        };
        let value = self
            .parameters
            .get(name)
            .ok_or_else(|| AwsError::new("ParameterNotFound", format!("Parameter {} not found.", shown(asked))))?;
        let path = if name.starts_with('/') { name.to_owned() } else { format!("/{name}") };
        Ok(json!({
            "Parameter": {
                "Name": name,
                "Type": "String",
                "Value": value,
                "Version": 1,
                "LastModifiedDate": self.world.now - 86_400,
                "ARN": self.arn("ssm", &format!("parameter{path}")),
                "DataType": "text",
            }
        }))
    }
}
