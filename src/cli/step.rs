//! `kptrsim step`: the stepper in a terminal. This file owns the terminal: raw mode, the other screen, and giving both back.

use std::io::{self, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{panic, thread};

use ratatui::DefaultTerminal;
use ratatui::buffer::Buffer;
use ratatui::crossterm::clipboard::CopyToClipboard;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{
    self, DisableMouseCapture, EnableMouseCapture, Event, KeyCode, KeyEventKind, KeyModifiers,
};
use ratatui::crossterm::execute;
use ratatui::style::{Modifier, Style};
use thiserror::Error;

use super::interrupt;
use super::output::SourceArgs;
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
    /// Sources.
    #[command(flatten)]
    pub sources: SourceArgs,
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
        session(&args, &[], &self.path, &self.kernel).map(|(session, _)| session).map_err(|error| error.to_string())
    }

    fn path(&self, program: &str) -> Result<PathSession, String> {
        let object = self.object().map_err(|error| error.to_string())?;
        let source = object.program(program).map_err(|error| error.to_string())?;
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

fn session(
    args: &ScenarioArgs,
    folders: &[PathBuf],
    path: &PathBuf,
    kernel: &Kernel,
) -> Result<(Session, Sources), ExploreError> {
    let loaded = args.load(path, kernel)?;
    let simulation = args.simulate(&loaded, kernel)?;
    let sources = Sources::of(&loaded.object, &loaded.sources(folders));
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
    let stop = || stop.load(Ordering::Relaxed);
    with_terminal(args.mouse, |terminal| show(terminal, &mut app, &stop, args.mouse))?;
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
        return path_app(Picked { args: args.scenario.clone(), kernel, path: path.clone() }, &args.sources, named);
    }
    let maker = |kernel| Box::new(Picked { args: args.scenario.clone(), kernel, path: path.clone() });
    if token.is_none() && !is_scenario(&path) && args.scenario.on.is_empty() {
        let object = load_object(&path, &kernel).map_err(ExploreError::from)?;
        if object.programs.is_empty() {
            return Err(StepError::NoPrograms(path));
        }
        let sources = Sources::of(&object, &args.sources.beside(&path));
        let picker = Picker::new(&path.display().to_string(), &object.programs);
        return Ok(App::new(Screen::Pick(picker), sources, maker(kernel)));
    }
    let (mut session, sources) = session(&args.scenario, &args.sources.sources, &path, &kernel)?;
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
fn path_app(picked: Picked, sources: &SourceArgs, named: &str) -> Result<App, StepError> {
    let object = picked.object().map_err(ExploreError::from)?;
    let sources = Sources::of(&object, &sources.beside(&picked.path));
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

/// Does something with the terminal: raw, on its other screen, and telling of the mouse if it is to. However that ends, by a panic
/// too, the terminal is given back.
///
/// # Errors
/// If the terminal does not do what it should.
pub fn with_terminal(mouse: bool, work: impl FnOnce(&mut DefaultTerminal) -> io::Result<()>) -> io::Result<()> {
    // It gives the terminal back in a panic, but for the mouse.
    let mut terminal = ratatui::try_init()?;
    if mouse {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let _ = execute!(io::stdout(), DisableMouseCapture);
            others(info);
        }));
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    let done = work(&mut terminal);
    give_back(mouse)?;
    done
}

fn give_back(mouse: bool) -> io::Result<()> {
    if mouse {
        execute!(io::stdout(), DisableMouseCapture)?;
    }
    // Drawing hides it, and who leaves at once drops nothing.
    execute!(io::stdout(), Show)?;
    ratatui::try_restore()
}

/// How long something may take until it is said that it does.
const PATIENCE: Duration = Duration::from_millis(150);

/// Draws, and takes what the user does, until it is over.
fn show(terminal: &mut DefaultTerminal, app: &mut App, stop: &dyn Fn() -> bool, mouse: bool) -> io::Result<()> {
    while !app.quit && !stop() {
        let shown = terminal.draw(|frame| view::draw(frame, app))?.buffer.clone();
        let mut waiting = Waiting { terminal, shown, stop, mouse };
        let patience = Duration::from_millis(if app.is_running() { 0 } else { 200 });
        if event::poll(patience)? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => waiting.work(app, |app| app.key(key))?,
                Event::Mouse(mouse) => waiting.work(app, |app| app.mouse(mouse))?,
                _ => {}
            }
        } else if app.is_running() {
            waiting.work(app, App::tick)?;
        }
        if let Some(text) = app.copy.take() {
            // A terminal that does not know the sequence ignores it.
            execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text))?;
            io::stdout().flush()?;
        }
    }
    Ok(())
}

/// The terminal while something is done that may take long.
struct Waiting<'t> {
    terminal: &'t mut DefaultTerminal,
    /// What it shows.
    shown: Buffer,
    stop: &'t dyn Fn() -> bool,
    mouse: bool,
}

impl Waiting<'_> {
    /// Does something on a thread of its own, and reads the keyboard meanwhile: Esc breaks it off, and Ctrl-C ends at once.
    fn work(&mut self, app: &mut App, job: impl FnOnce(&mut App) + Send) -> io::Result<()> {
        let (interrupt, any_key_stops) = (app.interrupt.clone(), app.is_running());
        thread::scope(|scope| {
            let (alive, is_done) = mpsc::channel::<()>();
            // That it ends is told by its end of the channel going away, whether it returns or panics.
            let worker = scope.spawn(move || {
                let _alive = alive;
                job(app);
            });
            let begun = Instant::now();
            while is_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                if (self.stop)() {
                    self.leave();
                }
                self.tell(begun.elapsed())?;
                while event::poll(Duration::ZERO)? {
                    if let Event::Key(key) = event::read()? {
                        match key.code {
                            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => self.leave(),
                            KeyCode::Esc => interrupt.ask(),
                            _ if any_key_stops => interrupt.ask(),
                            _ => {}
                        }
                    }
                }
            }
            worker.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked));
            Ok(())
        })
    }

    /// Says in the last row that something takes long.
    fn tell(&mut self, since: Duration) -> io::Result<()> {
        let shown = &self.shown;
        let text = format!(" working for {} s; Esc stops, Ctrl-C ends the stepper ", since.as_secs());
        self.terminal.draw(|frame| {
            let area = frame.area();
            if shown.area == area {
                frame.buffer_mut().clone_from(shown);
            }
            let row = area.bottom().saturating_sub(1);
            let style = Style::new().add_modifier(Modifier::REVERSED);
            frame.buffer_mut().set_stringn(area.x, row, text, area.width.into(), style);
        })?;
        Ok(())
    }

    /// Ends the process: who works cannot be asked to.
    fn leave(&self) -> ! {
        let _ = give_back(self.mouse);
        process::exit(0)
    }
}
