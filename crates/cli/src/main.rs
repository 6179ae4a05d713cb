//! The `loopwright` command: arguments → resolved settings → one file per command.
//! stdout is data, everything else goes to stderr. Not here: anything a run does (`loopwright`).

mod args; // what can be typed
mod clock; // now
mod command; // one file per command
mod failure; // why a command ends without doing its work
mod place; // directories
mod progress; // what a person sees of a run under way
mod reference; // the reference pages
mod settings; // defaults < file < environment < flags
mod terminal; // stdout, stderr and what they can show

use args::{Args, Command};
use clap::Parser as _;
use failure::Failure;
use loopwright::types::{Code, Diagnostic};
use std::process::ExitCode;
use terminal::Terminal;

/// Exit code for a command line or a setting that cannot be understood.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let terminal = Terminal::detect();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refused(&terminal, &error),
    };
    let ended = match args.command {
        Command::Run(run) => command::run::run(&terminal, run),
        Command::Fork(fork) => command::fork::fork(&terminal, fork),
        Command::Runs(runs) => command::runs::runs(&terminal, &runs),
        Command::Show(show) => command::show::show(&terminal, &show),
        Command::Resume(resume) => command::resume::resume(&terminal, &resume),
        Command::Decide(decide) => command::decide::decide(&terminal, &decide),
        Command::Wait(wait) => command::wait::wait(&terminal, &wait),
        Command::Pause(stop) => command::stop::stop(&terminal, &stop, command::stop::Stop::Pause),
        Command::Cancel(stop) => command::stop::stop(&terminal, &stop, command::stop::Stop::Cancel),
        Command::Approvals(list) => command::approvals::approvals(&terminal, &list),
        Command::Approve(approve) => command::approve::approve(&terminal, &approve),
        Command::Reject(reject) => command::approve::reject(&terminal, &reject),
        Command::Replay(replay) => command::replay::replay(&terminal, &replay),
        Command::Test(test) => command::test::test(&terminal, &test),
        Command::Prune(prune) => command::prune::prune(&terminal, &prune),
        Command::Export(export) => command::portable::export(&terminal, &export),
        Command::Import(import) => command::portable::import(&terminal, &import),
        Command::Verify(verify) => command::portable::verify(&terminal, &verify),
        Command::Check(check) => command::check::check(&terminal, &check),
        Command::Init(init) => command::init::init(&terminal, &init),
        Command::Agents(agents) => command::agents::agents(&terminal, agents),
        Command::Models(models) => command::models::models(&terminal, &models),
        Command::Tools(tools) => command::tools::tools(&terminal, &tools),
        Command::Mcp(mcp) => command::mcp::mcp(&terminal, &mcp),
        Command::Worktrees(args) => command::worktrees::worktrees(&terminal, &args),
        Command::Settings(settings) => command::settings::settings(&terminal, &settings),
        Command::Completions(to) => command::completions::completions(&terminal, to.shell),
        Command::Reference(page) => terminal.out(&reference::page(page.page)).map(|()| 0),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.print(&terminal);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Help and version are what was asked for; anything else is a mistake.
fn refused(terminal: &Terminal, error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if !error.use_stderr() {
        return match terminal.out(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => ExitCode::from(failure.exit_code()),
        };
    }
    let Some(told) = text.strip_prefix("error: ") else {
        terminal.tell(&text); // no command at all: the help
        return ExitCode::from(EXIT_USAGE);
    };
    let (cause, rest) = told.split_once('\n').unwrap_or((told, ""));
    let diagnostic = Diagnostic::new(Code::USAGE, cause.replace('\'', "`"));
    Failure::from(diagnostic).print(terminal);
    terminal.tell(&loopwright::view::escape_lines(rest));
    ExitCode::from(EXIT_USAGE)
}
