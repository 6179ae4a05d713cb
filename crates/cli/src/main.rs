//! The `loopwright` command: arguments → resolved settings → one file per command.
//! stdout is data, everything else goes to stderr. Not here: anything a run does (`loopwright`).

mod args; // what can be typed
mod clock; // now
mod command; // one file per command
mod failure; // why a command ends without doing its work
mod hint; // commands that can be pasted
mod place; // directories
mod progress; // what a person sees of a run under way
mod reference; // the reference pages
mod settings; // defaults < file < environment < flags
mod terminal; // stdout, stderr and what they can show

use args::{Args, Command};
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use failure::Failure;
use loopwright::types::{Code, Diagnostic};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use terminal::Terminal;

/// Exit code for a command line or a setting that cannot be understood.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    tell_of_full_files();
    let terminal = Terminal::detect();
    let typed = Args::command().try_get_matches();
    let read = typed.and_then(|typed| Ok((Args::from_arg_matches(&typed)?, data_dir_of(&typed))));
    let (args, data_dir) = match read {
        Ok(read) => read,
        Err(error) => return refused(&terminal, &error.format(&mut Args::command())),
    };
    let terminal = terminal.in_data_dir(data_dir);
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

/// Past a limit on the size of files (`ulimit -f`) the kernel ends a process without a word, unless it handles the
/// signal: then the write fails, and the journal tells why the run stops. A handler, so that programs that we start get
/// the signal's default back; one that is ignored stays ignored in them.
fn tell_of_full_files() {
    // Where it cannot be set, all is as it would be without.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// `--data-dir` as it was typed, behind whatever command takes it.
fn data_dir_of(typed: &ArgMatches) -> Option<PathBuf> {
    let here = typed.try_get_one::<PathBuf>("data_dir").ok().flatten().cloned();
    here.or_else(|| typed.subcommand().and_then(|(_, inner)| data_dir_of(inner)))
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
