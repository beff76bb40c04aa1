//! The Lambda function: wiring only.

use std::process::ExitCode;

use defib::config::{self, AccountKind, Settings};
#[cfg(feature = "aws")]
use defib::lambda::Either;
use defib::lambda::{Driver, Embedded, Function};
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { serve(Function::new(driver(&settings)?)).await })
}

/// The account whose role the function runs under, or the embedded one.
#[cfg(feature = "aws")]
fn driver(settings: &Settings) -> anyhow::Result<Either<Embedded, defib::aws::Account>> {
    Ok(match settings.account {
        AccountKind::Embedded => Either::This(Embedded::new(settings, config::now())?),
        AccountKind::Aws => Either::That(defib::aws::Account::connect(settings)?),
    })
}

#[cfg(not(feature = "aws"))]
fn driver(settings: &Settings) -> anyhow::Result<Embedded> {
    match settings.account {
        AccountKind::Embedded => Ok(Embedded::new(settings, config::now())?),
        AccountKind::Aws => anyhow::bail!(
            "DEFIB_ACCOUNT is not set, which means the AWS account, and this build holds only the embedded account; \
             allowed: sim"
        ),
    }
}

async fn serve<D: Driver>(function: Function<D>) -> anyhow::Result<()> {
    let function = &function;
    let handler = service_fn(|event: LambdaEvent<serde_json::Value>| function.handle(event.payload));
    lambda_runtime::run(handler).await.map_err(anyhow::Error::from_boxed)
}
