//! The binary `hbone`: reads the command line, starts the log, carries the command out, ends with its code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use hbone_node::cli::{Ca, Capture, Cli, Command, Id};
use hbone_node::exit::{Exit, Failure};
use hbone_node::{ca, capture, check, connect, demo, dial, explain, log, report, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let default = match cli.command {
        Command::Run(_) => "info",
        Command::Check(_)
        | Command::Ca(_)
        | Command::Id(_)
        | Command::Dial(_)
        | Command::Connect(_)
        | Command::Capture(_)
        | Command::Explain(_)
        | Command::Demo(_) => "warn",
    };
    let log = match log::start(cli.log_format, default) {
        Ok(log) => log,
        Err(reason) => {
            report::complain(&reason);
            return Exit::Usage.into();
        }
    };
    let result = carry_out(&cli.command);
    log.flush();
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            report::failure(cli.log_format, &failure);
            log.flush();
            failure.exit.into()
        }
    }
}

fn carry_out(command: &Command) -> Result<Exit, Failure> {
    let text = match command {
        Command::Run(ask) => return run::run(ask),
        Command::Connect(ask) => return connect::run(ask),
        Command::Dial(ask) => return dial::dial(ask),
        Command::Explain(ask) => return explain::explain(ask),
        Command::Demo(ask) => return demo::demo(ask),
        Command::Check(ask) => check::check(&ask.config)?,
        Command::Capture(Capture::Rules(ask)) => capture::rules(ask)?,
        Command::Ca(Ca::Init(ask)) => ca::init(ask)?,
        Command::Id(Id::Issue(ask)) => ca::issue(ask)?,
    };
    report::say(&text);
    Ok(Exit::Success)
}
