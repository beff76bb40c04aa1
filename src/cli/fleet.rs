//! `defib fleet`: the simulated account's HTTP door.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::{Global, Ui, exit};
use crate::config;
use crate::fleet::{Fleet, WorldFile, loopback, serve};

/// Serve the simulated account over AWS's wire protocols, for SDKs and the aws CLI.
#[derive(Debug, clap::Args)]
pub(super) struct FleetArgs {
    /// Where to listen: a loopback address; port 0 takes a free one.
    #[arg(long, value_name = "127.0.0.1:PORT")]
    listen: SocketAddr,
    /// What stands in the account, in JSON (docs/FLEET.md); without it the account is empty.
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
}

/// How the door was closed.
enum Ended {
    Interrupted,
    Terminated,
}

pub(super) fn run(args: &FleetArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    loopback(args.listen)?;
    let file = match &args.world {
        None => WorldFile::default(),
        Some(path) => {
            let bytes = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
            WorldFile::read(&bytes).with_context(|| format!("failed to read {}", path.display()))?
        }
    };
    let file = file.at_home(global.account, global.region.clone());
    let fleet = Fleet::of(&file, config::now()).context("failed to make the world")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start")?;
    let ended = runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt()).context("failed to listen for signals")?;
        let mut terminated = signal(SignalKind::terminate()).context("failed to listen for signals")?;
        let listening = |at: SocketAddr| ui.line(&format!("listening on http://{at}"));
        tokio::select! {
            served = serve(args.listen, fleet, listening) => {
                served?;
                Ok(Ended::Terminated)
            }
            _ = interrupted.recv() => Ok(Ended::Interrupted),
            _ = terminated.recv() => anyhow::Ok(Ended::Terminated),
        }
    })?;
    ui.progress("the door is closed");
    Ok(match ended {
        Ended::Interrupted => ExitCode::from(exit::INTERRUPTED),
        Ended::Terminated => ExitCode::SUCCESS,
    })
}
