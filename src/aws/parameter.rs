//! The policy document, in an SSM parameter.

use std::sync::Arc;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;

use super::fault::Fault;
use crate::policy::standing::Reading;

/// A parameter.
#[derive(Debug, Clone)]
pub struct Parameter {
    ssm: Client,
    name: Arc<str>,
}

impl Parameter {
    /// The parameter of this name.
    #[must_use]
    pub fn new(ssm: Client, name: Arc<str>) -> Self {
        Self { ssm, name }
    }

    /// What it says now. A `SecureString` is decrypted where the role may.
    pub async fn read(&self) -> Reading {
        match self.ssm.get_parameter().name(&*self.name).with_decryption(true).send().await {
            Ok(answer) => match answer.parameter.and_then(|parameter| parameter.value) {
                Some(text) => Reading::Text(text.into()),
                // Not a document, and not a missing one either.
                None => Reading::Unreadable,
            },
            Err(error) if error.as_service_error().is_some_and(GetParameterError::is_parameter_not_found) => {
                Reading::Absent
            }
            Err(error) => {
                Fault::of("GetParameter", error).tell();
                Reading::Unreadable
            }
        }
    }
}
