//! The SDK's clients, built once a process: one HTTP client, ring for TLS, time limits everywhere.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_ssm::config::SharedCredentialsProvider;
use aws_sdk_ssm::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_ssm::config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::config;

/// To reach a service, seconds.
const CONNECT_SECS: u64 = 2;
/// From the request to the first byte of its answer, seconds.
const READ_SECS: u64 = 6;
/// One try of a read, and all of its tries together, seconds. A pass has a minute, and asks some thirty things.
const TRY_SECS: u64 = 7;
const READ_IN_ALL_SECS: u64 = 15;
/// The single try of what changes something, seconds. Less than the wait after which an intent is burned
/// ([`crate::effect::BURN_AFTER_SECS`]), so that nobody burns what is still on its way.
const SEND_SECS: u64 = 10;
/// Tries of one read.
const TRIES: u32 = 3;
/// Retries that all reads of the process have in hand, and how many of them come back a second. A retry costs the standard five
/// tokens (ten after a time-out): under throttling the budget is gone after ten, and from then on each call is tried once.
const RETRY_TOKENS: usize = 50;
const RETRY_TOKENS_A_SECOND: f32 = 1.0;

/// One client a service, all over one HTTP client.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Systems Manager.
    pub ssm: aws_sdk_ssm::Client,
    /// EC2.
    pub ec2: aws_sdk_ec2::Client,
    /// ECS.
    pub ecs: aws_sdk_ecs::Client,
    /// Auto Scaling.
    pub autoscaling: aws_sdk_autoscaling::Client,
    /// IAM.
    pub iam: aws_sdk_iam::Client,
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Step Functions.
    pub sfn: aws_sdk_sfn::Client,
    /// SNS.
    pub sns: aws_sdk_sns::Client,
}

/// A service's client with the shared budget of retries.
macro_rules! client {
    ($service:ident, $shared:expr, $budget:expr) => {
        $service::Client::from_conf(
            $service::config::Builder::from($shared).retry_partition(RetryPartition::clone($budget)).build(),
        )
    };
}

impl Clients {
    /// Builds the clients of a Lambda function: credentials, region, and `AWS_ENDPOINT_URL` with its kin from the environment,
    /// where [Lambda puts them](https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html), and from nowhere else.
    /// The chain of profiles, web identities and metadata services, which a function never needs, would be a quarter of a
    /// megabyte in its zip, and a part of each cold start.
    #[must_use]
    pub fn from_environment() -> Self {
        let flag = |name: &str| config::of_the_sdk(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(config::aws_region().map(Region::new))
            .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
            .use_fips(flag("AWS_USE_FIPS_ENDPOINT"))
            .use_dual_stack(flag("AWS_USE_DUALSTACK_ENDPOINT"))
            .service_config(Variables)
            .retry_config(retries())
            .timeout_config(time_limits(TRY_SECS, READ_IN_ALL_SECS))
            .http_client(http())
            .build();
        Self::of(&shared)
    }

    /// The clients of a command line: from its arguments, and for the rest from all places where the AWS CLI looks, too.
    pub async fn load_for(
        profile: Option<&str>,
        region: Option<&str>,
        endpoint: Option<&str>,
    ) -> (Self, Option<String>) {
        let shared = Self::shared_for(profile, region, endpoint).await;
        let region = shared.region().map(ToString::to_string);
        (Self::of(&shared), region)
    }

    /// The configuration of a command line's clients, those of [`Self::load_for`] and others.
    pub async fn shared_for(profile: Option<&str>, region: Option<&str>, endpoint: Option<&str>) -> SdkConfig {
        let mut config = limited(aws_config::defaults(BehaviorVersion::latest())).http_client(http());
        if let Some(profile) = profile {
            config = config.profile_name(profile);
        }
        if let Some(region) = region {
            config = config.region(Region::new(region.to_owned()));
        }
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint);
        }
        config.load().await
    }

    /// Builds the clients from a configuration that is there already.
    #[must_use]
    pub fn of(shared: &SdkConfig) -> Self {
        let tokens = TokenBucket::builder().capacity(RETRY_TOKENS).refill_rate(RETRY_TOKENS_A_SECOND).build();
        let budget = &RetryPartition::custom("defib").token_bucket(tokens).build();
        Self {
            ssm: client!(aws_sdk_ssm, shared, budget),
            ec2: client!(aws_sdk_ec2, shared, budget),
            ecs: client!(aws_sdk_ecs, shared, budget),
            autoscaling: client!(aws_sdk_autoscaling, shared, budget),
            iam: client!(aws_sdk_iam, shared, budget),
            dynamodb: client!(aws_sdk_dynamodb, shared, budget),
            sfn: client!(aws_sdk_sfn, shared, budget),
            sns: client!(aws_sdk_sns, shared, budget),
        }
    }
}

/// A configuration with the limits of reads: how often one is tried, and for how long.
#[must_use]
pub fn limited(config: ConfigLoader) -> ConfigLoader {
    config.retry_config(retries()).timeout_config(time_limits(TRY_SECS, READ_IN_ALL_SECS))
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(TRIES)
}

/// The one HTTP client of all clients of the SDK: ring, because the SDK's own choice burns three times our whole cold start on entropy
/// (DESIGN.md §10).
fn http() -> SharedHttpClient {
    let inner = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    when_asked(inner)
}

fn when_asked(client: SharedHttpClient) -> SharedHttpClient {
    SharedHttpClient::new(WhenAsked(client))
}

/// The SDK's HTTP client without its preparation. For each client of a service that makes, and throws away, a connector with all the
/// certificates of the system parsed anew: most of a cold start (docs/decisions/0076). The first request makes the one that is kept.
#[derive(Debug)]
struct WhenAsked(SharedHttpClient);

impl HttpClient for WhenAsked {
    fn http_connector(&self, settings: &HttpConnectorSettings, parts: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, parts)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

/// What the environment says of one service, else of all: `AWS_ENDPOINT_URL_AUTO_SCALING` before `AWS_ENDPOINT_URL`
/// ([names](https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html)).
#[derive(Debug)]
struct Variables;

impl LoadServiceConfig for Variables {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        config::of_the_sdk(&own_variable(key.env(), key.service_id())).or_else(|| config::of_the_sdk(key.env()))
    }
}

/// The name of a service's own variable.
fn own_variable(variable: &str, service_id: &str) -> String {
    format!("{variable}_{}", service_id.to_uppercase().replace(' ', "_"))
}

fn time_limits(one_secs: u64, all_secs: u64) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(CONNECT_SECS))
        .read_timeout(Duration::from_secs(READ_SECS.max(one_secs)))
        .operation_attempt_timeout(Duration::from_secs(one_secs))
        .operation_timeout(Duration::from_secs(all_secs))
        .build()
}

/// How something is sent that must not be sent twice: one try, with a time limit. Not one of these operations has an idempotency
/// token (facts/aws.md §2.1).
macro_rules! once {
    ($(#[$doc:meta])* $name:ident, $service:ident) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name() -> $service::config::Builder {
            $service::config::Builder::new()
                .retry_config(RetryConfig::disabled())
                .timeout_config(time_limits(SEND_SECS, SEND_SECS))
        }
    };
}

once!(
    /// For Systems Manager.
    once_ssm, aws_sdk_ssm
);
once!(
    /// For EC2.
    once_ec2, aws_sdk_ec2
);
once!(
    /// For ECS.
    once_ecs, aws_sdk_ecs
);
once!(
    /// For Auto Scaling.
    once_autoscaling, aws_sdk_autoscaling
);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_smithy_runtime_api::box_error::BoxError;
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
    use aws_smithy_types::config_bag::ConfigBag;

    use super::*;

    /// Counts how often it is prepared.
    #[derive(Debug, Clone, Default)]
    struct Counting(Arc<AtomicUsize>);

    impl HttpClient for Counting {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            panic!("nothing was asked");
        }

        fn validate_base_client_config(&self, _: &RuntimeComponentsBuilder, _: &ConfigBag) -> Result<(), BoxError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    #[test]
    fn no_client_of_a_service_prepares_the_http_client_before_it_asks() {
        let prepared = |wrap: fn(SharedHttpClient) -> SharedHttpClient| {
            let counting = Counting::default();
            let config = SdkConfig::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("us-east-1"))
                .http_client(wrap(SharedHttpClient::new(counting.clone())));
            let _clients = Clients::of(&config.build());
            counting.0.load(Ordering::Relaxed)
        };
        assert!(prepared(|bare| bare) > 0, "the SDK would, once for each service");
        assert_eq!(prepared(when_asked), 0);
    }

    #[test]
    fn a_service_has_a_variable_of_its_own_whose_name_holds_no_space() {
        assert_eq!(own_variable("AWS_ENDPOINT_URL", "Auto Scaling"), "AWS_ENDPOINT_URL_AUTO_SCALING");
        assert_eq!(own_variable("AWS_ENDPOINT_URL", "SSM"), "AWS_ENDPOINT_URL_SSM");
    }
}
