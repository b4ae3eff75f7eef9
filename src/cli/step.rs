//! `kptrsim step`: the stepper in a terminal. This file owns the terminal: raw mode, the other screen, and giving both back.

use std::io::{self, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::clipboard::CopyToClipboard;
use ratatui::crossterm::event::{
    self, DisableMouseCapture, EnableMouseCapture, Event, KeyCode, KeyEvent, KeyEventKind, MouseButton, MouseEvent,
    MouseEventKind,
};
use ratatui::crossterm::execute;
use thiserror::Error;

use super::interrupt;
use super::scenario::{ExploreError, ScenarioArgs, token_digest};
use super::target::{Kernel, TargetError, load_object, load_scenario};
use crate::explore::schedule::Schedule;
use crate::object::Object;
use crate::scenario::file::is_scenario;
use crate::scenario::words::OnWord;
use crate::stepper::app::{App, Maker, Screen};
use crate::stepper::path::PathSession;
use crate::stepper::pick::Picker;
use crate::stepper::session::Session;
use crate::stepper::sources::Sources;
use crate::stepper::view;
use crate::verifier::path::Record;
use crate::verifier::{ObjectVerifier, Options, Verdict};

/// Step through programs in a terminal: CPU by CPU on the simulated machine.
///
/// Takes what `explore` takes, or a token, whose schedule is then followed step by step. Of an object without --on the
/// programs are listed to pick from. `?` shows the keys.
///
/// Exits with 0, or 2 for wrong use, bad input, or where there is no terminal.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Scenario (a .toml file), BPF object or its source, or the token of a schedule
    #[arg(value_name = "SCENARIO|OBJ|TOKEN")]
    pub what: String,
    /// Scenario or object of a token that names none
    #[arg(value_name = "SCENARIO|OBJ")]
    pub path: Option<PathBuf>,
    /// What runs where.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// Step through the verifier's path of a program instead of a run
    #[arg(long, value_name = "PROGRAM", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub verify: Option<String>,
    /// Use the mouse: a click chooses in `next`, the wheel moves the pane's text
    #[arg(long)]
    pub mouse: bool,
}

/// Why there is nothing to step, or no terminal to step in.
#[derive(Debug, Error)]
pub enum StepError {
    /// The scenario.
    #[error(transparent)]
    Scenario(#[from] ExploreError),
    /// A token that is none.
    #[error("{0}")]
    Token(#[from] crate::explore::schedule::TokenError),
    /// Standard input or output is something else.
    #[error(
        "`kptrsim step` needs a terminal, and standard {0} is none; `kptrsim replay` and `explore` print what happens"
    )]
    NoTerminal(&'static str),
    /// The terminal does not do what it should.
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
    /// There is no path of the verifier's to step.
    #[error("{0}")]
    Path(String),
    /// The object has no programs.
    #[error("{0} has no programs")]
    NoPrograms(PathBuf),
}

/// What a session is made of, for those that are picked.
struct Picked {
    args: ScenarioArgs,
    kernel: Kernel,
    path: PathBuf,
}

impl Maker for Picked {
    fn session(&self, on: &[(u32, Vec<String>)]) -> Result<Session, String> {
        let mut args = self.args.clone();
        for (cpu, programs) in on {
            args.on.push(format!("{cpu}:{}", programs.join(",")).parse::<OnWord>()?);
        }
        session(&args, &self.path, &self.kernel).map(|(session, _)| session).map_err(|error| error.to_string())
    }

    fn path(&self, program: &str) -> Result<PathSession, String> {
        let object = self.object().map_err(|error| error.to_string())?;
        let Some(source) = object.programs.iter().find(|one| one.name == program) else {
            let known: Vec<_> = object.programs.iter().map(|one| one.name.as_str()).collect();
            return Err(format!("there is no program `{program}`; there are {}", known.join(", ")));
        };
        let verify = |record| {
            let options = Options { record, ..Options::default() };
            ObjectVerifier::new(&object, &self.kernel.profile, options).verify(source)
        };
        let mut verification = verify(Record::Tree { steps: MAX_RECORDED });
        if verification.path.as_ref().is_some_and(|path| path.cut) && verification.verdict != Verdict::Accept {
            // The path to the verdict is what matters, and it is the last.
            verification = verify(Record::Verdict);
        }
        PathSession::new(Arc::new(object.clone()), program, verification)
    }
}

impl Picked {
    fn object(&self) -> Result<Object, TargetError> {
        match is_scenario(&self.path) {
            true => load_scenario(&self.path, &self.kernel).map(|loaded| loaded.object),
            false => load_object(&self.path, &self.kernel),
        }
    }

    /// The program whose path is shown first: the one that is named, the only one, or the first that the scenario runs.
    fn first_path(&self, named: &str, object: &Object) -> Option<String> {
        if !named.is_empty() {
            return Some(named.to_owned());
        }
        let placed = self.args.on.first().and_then(|task| task.0.run.first()).map(|run| run.program.clone());
        let only = object.programs.first().filter(|_| object.programs.len() == 1).map(|program| program.name.clone());
        placed.or(only)
    }
}

/// Steps of all paths together that are kept.
const MAX_RECORDED: usize = 50_000;

fn session(args: &ScenarioArgs, path: &PathBuf, kernel: &Kernel) -> Result<(Session, Sources), ExploreError> {
    let loaded = args.load(path, kernel)?;
    let simulation = args.simulate(&loaded, kernel)?;
    // A scenario names its object from its own folder; words name it as they are.
    let folder = path.parent().unwrap_or(Path::new(""));
    let sources = Sources::of(&loaded.object).with_files(path).with_files(&folder.join(&loaded.scenario.object));
    Ok((Session::new(simulation, path.display().to_string(), token_digest(&loaded)), sources))
}

/// Steps until the user ends it.
///
/// # Errors
/// [`StepError`] for wrong use or bad input, and without a terminal; the exit code for it is 2.
pub fn run(args: &Args) -> Result<ExitCode, StepError> {
    for (is_terminal, name) in [(io::stdin().is_terminal(), "input"), (io::stdout().is_terminal(), "output")] {
        if !is_terminal {
            return Err(StepError::NoTerminal(name));
        }
    }
    let mut app = app(args)?;
    let stop = interrupt::stop_flag().map_err(ExploreError::from)?;
    let mut terminal = ratatui::try_init()?;
    let done = with_mouse(args.mouse, || show(&mut terminal, &mut app, &|| stop.load(Ordering::Relaxed)));
    ratatui::try_restore()?;
    done?;
    Ok(ExitCode::SUCCESS)
}

fn app(args: &Args) -> Result<App, StepError> {
    let kernel = args.scenario.kernel.kernel().map_err(ExploreError::from)?;
    let token = (args.what.starts_with("ks") && args.what.contains(':')).then(|| args.what.parse::<Schedule>());
    let is_file = Path::new(&args.what).exists();
    let token = token.filter(|token| token.is_ok() || !is_file).transpose()?;
    let path = match &token {
        Some(token) if args.path.is_none() && token.name.is_empty() => return Err(ExploreError::NoName.into()),
        Some(token) => args.path.clone().unwrap_or_else(|| PathBuf::from(&token.name)),
        None => PathBuf::from(&args.what),
    };
    if let Some(named) = &args.verify {
        return path_app(Picked { args: args.scenario.clone(), kernel, path: path.clone() }, named);
    }
    let maker = |kernel| Box::new(Picked { args: args.scenario.clone(), kernel, path: path.clone() });
    if token.is_none() && !is_scenario(&path) && args.scenario.on.is_empty() {
        let object = load_object(&path, &kernel).map_err(ExploreError::from)?;
        if object.programs.is_empty() {
            return Err(StepError::NoPrograms(path));
        }
        let sources = Sources::of(&object).with_files(&path);
        let picker = Picker::new(&path.display().to_string(), &object.programs);
        return Ok(App::new(Screen::Pick(picker), sources, maker(kernel)));
    }
    let (mut session, sources) = session(&args.scenario, &path, &kernel)?;
    let mut message = "s steps, Enter takes the chosen step, ? shows all keys".to_owned();
    if let Some(token) = token {
        if token.digest.is_some() && token.digest != session.digest() {
            return Err(ExploreError::OtherScenario { name: path.display().to_string() }.into());
        }
        let fit = session.load(&token.choices);
        let all = token.choices.len();
        message = match fit == all {
            true => format!("a plan of {all} steps: f takes the next, c runs to its finding, ? shows all keys"),
            false => format!("only {fit} of the token's {all} steps are possible here"),
        };
    }
    let mut app = App::new(Screen::Machine(Box::new(session)), sources, maker(kernel));
    app.message = message;
    Ok(app)
}

/// The stepper at a program's path, or at the list of programs.
fn path_app(picked: Picked, named: &str) -> Result<App, StepError> {
    let object = picked.object().map_err(ExploreError::from)?;
    let sources = Sources::of(&object).with_files(&picked.path);
    let screen = match picked.first_path(named, &object) {
        Some(program) => Screen::Path(Box::new(picked.path(&program).map_err(StepError::Path)?)),
        None => {
            let mut picker = Picker::new(&picked.path.display().to_string(), &object.programs);
            picker.verify = true;
            Screen::Pick(picker)
        }
    };
    let message = match &screen {
        Screen::Path(path) => format!("{} {}", path.program().name, path.verdict()),
        _ => "Enter shows the verifier's path of the chosen program".to_owned(),
    };
    let mut app = App::new(screen, sources, Box::new(picked));
    app.message = message;
    Ok(app)
}

/// Does something while the terminal tells of the mouse, if it is to.
fn with_mouse(mouse: bool, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    if !mouse {
        return work();
    }
    execute!(io::stdout(), EnableMouseCapture)?;
    let done = work();
    execute!(io::stdout(), DisableMouseCapture)?;
    done
}

/// Draws, and takes what the user does, until it is over.
fn show(terminal: &mut DefaultTerminal, app: &mut App, stop: &dyn Fn() -> bool) -> io::Result<()> {
    while !app.quit && !stop() {
        terminal.draw(|frame| view::draw(frame, app))?;
        let patience = Duration::from_millis(if app.is_running() { 0 } else { 200 });
        if event::poll(patience)? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => app.key(key),
                Event::Mouse(mouse) => click(app, mouse),
                _ => {}
            }
        } else {
            app.tick();
        }
        if let Some(text) = app.copy.take() {
            // A terminal that does not know the sequence ignores it.
            execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text))?;
            io::stdout().flush()?;
        }
    }
    Ok(())
}

fn click(app: &mut App, mouse: MouseEvent) {
    match mouse.kind {
        MouseEventKind::ScrollDown => app.key(KeyEvent::from(KeyCode::PageDown)),
        MouseEventKind::ScrollUp => app.key(KeyEvent::from(KeyCode::PageUp)),
        MouseEventKind::Down(MouseButton::Left) => app.click(mouse.column, mouse.row),
        _ => {}
    }
}
