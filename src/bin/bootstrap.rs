//! The Lambda function: wiring only.

use std::process::ExitCode;

use defib::config::{self, AccountKind, Settings};
use defib::lambda::{Embedded, Function};
use defib::telemetry;
use lambda_runtime::{LambdaEvent, service_fn};
use tracing::level_filters::LevelFilter;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Before the settings are read nobody has said how to log.
            telemetry::start(LevelFilter::INFO);
            tracing::error!("defib cannot start: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    let settings = Settings::from_env()?;
    telemetry::start(settings.log);
    for unknown in &settings.unknown {
        tracing::warn!("{} means nothing to defib; did you mean {}?", unknown.name, unknown.nearest);
    }
    match settings.account {
        AccountKind::Embedded => serve(&Function::new(Embedded::new(&settings, config::now())?)),
        AccountKind::Aws => anyhow::bail!(
            "DEFIB_ACCOUNT is not set, which means the AWS account, and this build holds only the embedded account; \
             allowed: sim"
        ),
    }
}

fn serve(function: &Function<Embedded>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handler = service_fn(|event: LambdaEvent<serde_json::Value>| function.handle(event.payload));
    runtime.block_on(lambda_runtime::run(handler)).map_err(anyhow::Error::from_boxed)
}
