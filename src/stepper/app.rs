//! What keys do: the screens of the stepper, without a terminal.
//!
//! [`App::key`] takes a key, [`App::tick`] goes on with a run that takes long, and [`super::view::draw`] shows the result.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Rect;

use crate::explore::random::Random;

use super::going::{Begun, Whom};
use super::interrupt::Interrupt;
use super::keys::{self, Command};
use super::path::PathSession;
use super::pick::Picker;
use super::session::Session;
use super::sources::Sources;
use super::stops::{Break, Stop, file_name};

/// Steps of a run between two looks at the keyboard.
const SLICE: usize = 200;
/// Panes of the verifier's path.
const PATH_PANES: usize = 3;

/// Makes what the user picks.
pub trait Maker {
    /// A session of programs: each CPU with those that it runs, one after another.
    ///
    /// # Errors
    /// Why there is none.
    fn session(&self, on: &[(u32, Vec<String>)]) -> Result<Session, String>;

    /// Verifies a program and makes a session of its paths.
    ///
    /// # Errors
    /// Why there is none.
    fn path(&self, program: &str) -> Result<PathSession, String>;
}

/// A pane of which one is shown at a time where there is little room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// Registers and stack.
    Cpu,
    /// Objects.
    Objects,
    /// Globals and maps.
    Values,
    /// Findings.
    Findings,
    /// Breaks, watches, token.
    Stops,
}

impl Pane {
    /// All, in order.
    pub const ALL: [Pane; 5] = [Pane::Cpu, Pane::Objects, Pane::Values, Pane::Findings, Pane::Stops];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Pane::Cpu => "CPU",
            Pane::Objects => "obj",
            Pane::Values => "val",
            Pane::Findings => "found",
            Pane::Stops => "stops",
        }
    }
}

/// What is shown.
pub enum Screen {
    /// Programs to pick from.
    Pick(Picker),
    /// The machine.
    Machine(Box<Session>),
    /// The verifier's paths of a program.
    Path(Box<PathSession>),
}

/// A line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// `:` or `/`.
    pub sign: char,
    /// What was typed.
    pub text: String,
}

/// A place in the source that the user has marked: file and line.
pub type Mark = (String, u32);

/// The stepper.
pub struct App {
    /// What is shown.
    pub screen: Screen,
    /// Source text.
    pub sources: Sources,
    /// The pane that is shown.
    pub pane: Pane,
    /// Rows by which the pane's text is moved up.
    pub scroll: u16,
    /// What was said last.
    pub message: String,
    /// What is being typed.
    pub prompt: Option<Prompt>,
    /// Are the keys shown, and from which row on?
    pub help: Option<u16>,
    /// The marked source line, if it is not the current one.
    pub mark: Option<Mark>,
    /// Text that is to go to the clipboard.
    pub copy: Option<String>,
    /// Where the rows of what can be done next are drawn, and the first that is.
    pub next_area: Rect,
    /// The first row that is drawn there.
    pub next_first: usize,
    /// Is it over?
    pub quit: bool,
    /// Breaks off what takes long, from wherever the keyboard is read meanwhile.
    pub interrupt: Interrupt,
    running: Option<Begun>,
    /// The screen from which the verifier's path was asked for.
    behind: Option<Screen>,
    searched: String,
    maker: Box<dyn Maker + Send>,
}

impl App {
    /// The stepper at that screen.
    #[must_use]
    pub fn new(mut screen: Screen, sources: Sources, maker: Box<dyn Maker + Send>) -> App {
        let interrupt = Interrupt::default();
        if let Screen::Machine(session) = &mut screen {
            session.break_off_by(&interrupt);
        }
        App {
            screen,
            sources,
            pane: Pane::Cpu,
            scroll: 0,
            message: String::new(),
            prompt: None,
            help: None,
            mark: None,
            copy: None,
            next_area: Rect::default(),
            next_first: 0,
            quit: false,
            interrupt,
            running: None,
            behind: None,
            searched: String::new(),
            maker,
        }
    }

    /// Is a run under way, so that [`App::tick`] has something to do?
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Goes on with the run that is under way.
    pub fn tick(&mut self) {
        self.go_on();
        self.tell_broken_off();
    }

    /// Says what was broken off, if something was.
    fn tell_broken_off(&mut self) {
        if let Screen::Machine(session) = &mut self.screen
            && let Some(what) = session.take_broken_off()
        {
            self.message = what.to_owned();
        }
        // One that came too late is for nothing that follows.
        let _ = self.interrupt.take();
    }

    fn go_on(&mut self) {
        let (Some(begun), Screen::Machine(session)) = (self.running, &mut self.screen) else { return };
        match session.go_on(begun, SLICE) {
            Stop::Budget => self.message = format!("running: step {}; any key stops", session.done().len()),
            stop => {
                self.running = None;
                self.stopped(stop);
            }
        }
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyEvent) {
        self.take_key(key);
        self.tell_broken_off();
    }

    fn take_key(&mut self, key: KeyEvent) {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            self.quit = true;
            return;
        }
        if self.running.take().is_some() {
            self.message = "stopped".to_owned();
            return;
        }
        if self.prompt.is_some() {
            return self.type_key(key.code);
        }
        if self.help.is_some() {
            return self.help_key(key.code);
        }
        self.message.clear();
        if let Screen::Pick(_) = self.screen {
            return self.pick_key(key.code);
        }
        if let Some(command) = keys::command(key.code) {
            self.command(command);
        }
    }

    /// Takes what the mouse does: a click of its left button, or its wheel, which moves the pane's text.
    pub fn mouse(&mut self, mouse: MouseEvent) {
        match mouse.kind {
            MouseEventKind::ScrollDown => self.key(KeyEvent::from(KeyCode::PageDown)),
            MouseEventKind::ScrollUp => self.key(KeyEvent::from(KeyCode::PageUp)),
            MouseEventKind::Down(MouseButton::Left) => self.click(mouse.column, mouse.row),
            _ => {}
        }
    }

    /// Takes a click: on a row of what can be done next it chooses that row.
    fn click(&mut self, column: u16, row: u16) {
        let place = (column, row).into();
        let Screen::Machine(session) = &mut self.screen else { return };
        if self.next_area.contains(place) {
            session.select_row(usize::from(row - self.next_area.y) + self.next_first);
        }
    }

    fn help_key(&mut self, key: KeyCode) {
        let row = self.help.unwrap_or(0);
        self.help = match key {
            KeyCode::Down | KeyCode::Char('j') | KeyCode::PageDown => Some(row.saturating_add(4)),
            KeyCode::Up | KeyCode::Char('k') | KeyCode::PageUp => Some(row.saturating_sub(4)),
            _ => None,
        };
    }

    fn pick_key(&mut self, key: KeyCode) {
        let Screen::Pick(picker) = &mut self.screen else { return };
        match key {
            KeyCode::Char('q') | KeyCode::Esc => self.quit = true,
            KeyCode::Char('?') => self.help = Some(0),
            KeyCode::Enter if picker.verify => self.path_screen(),
            KeyCode::Char('v') => self.path_screen(),
            KeyCode::Enter => match self.maker.session(&picker.tasks()) {
                Ok(mut session) => {
                    session.break_off_by(&self.interrupt);
                    self.screen = Screen::Machine(Box::new(session));
                    self.message = "s steps, Enter takes the chosen step, ? shows all keys".to_owned();
                }
                Err(error) => self.message = error,
            },
            key => picker.key(key),
        }
    }

    fn type_key(&mut self, key: KeyCode) {
        let Some(prompt) = &mut self.prompt else { return };
        match key {
            KeyCode::Char(c) if prompt.text.len() < 200 => prompt.text.push(c),
            KeyCode::Backspace if prompt.text.is_empty() => self.prompt = None,
            KeyCode::Backspace => drop(prompt.text.pop()),
            KeyCode::Esc => self.prompt = None,
            KeyCode::Enter => {
                let Prompt { sign, text } = prompt.clone();
                self.prompt = None;
                self.message.clear();
                if sign == '/' { self.search(text.trim()) } else { self.words(text.trim()) }
            }
            _ => {}
        }
    }

    /// Shows the verifier's path of the program that is chosen, or the screen behind it again.
    fn path_screen(&mut self) {
        let program = match &self.screen {
            Screen::Path(_) => {
                match self.behind.take() {
                    Some(behind) => self.screen = behind,
                    None => self.message = "there is no machine: `kptrsim step` without --verify has one".to_owned(),
                }
                self.mark = None;
                return;
            }
            Screen::Pick(picker) => picker.programs.get(picker.chosen).map(|(name, _)| name.clone()),
            Screen::Machine(session) => session.program_name(session.selected().actor),
        };
        let Some(program) = program else {
            self.message = "the chosen one runs no program".to_owned();
            return;
        };
        match self.maker.path(&program) {
            Ok(path) => {
                self.message = format!("{program} {}", path.verdict());
                self.mark = None;
                self.set_pane(0);
                self.behind = Some(std::mem::replace(&mut self.screen, Screen::Path(Box::new(path))));
            }
            Err(error) => self.message = error,
        }
    }

    /// Commands on the verifier's path.
    fn path_command(&mut self, command: Command) {
        let Screen::Path(path) = &mut self.screen else { return };
        match command {
            Command::Instruction if !path.go(1) => self.message = "the path ends here".to_owned(),
            Command::Back if !path.go(-1) => self.message = "this is the start".to_owned(),
            Command::Instruction | Command::Back => {}
            Command::Line | Command::LineInto => path.next_line(),
            Command::Step => path.to_event(1),
            Command::BackStep => path.to_event(-1),
            Command::Start => path.to_start(),
            Command::End => path.to_end(),
            Command::Up => path.choose(-1),
            Command::Down => path.choose(1),
            Command::Run => {
                self.message = path.to_break().map_or("the path ends here".to_owned(), |at| format!("break at {at}"));
            }
            Command::Pane(number) if number >= PATH_PANES => {}
            Command::NextPane => {
                let next = (self.pane as usize + 1) % PATH_PANES;
                self.set_pane(next);
            }
            other => return self.show(other),
        }
        if !matches!(command, Command::Pane(_) | Command::NextPane) {
            self.mark = None;
        }
    }

    fn command(&mut self, command: Command) {
        if let Screen::Path(_) = self.screen {
            return self.path_command(command);
        }
        let Screen::Machine(session) = &mut self.screen else { return };
        let stop = match command {
            Command::Instruction => Some(session.step_instruction()),
            Command::Line => Some(session.step_line(true)),
            Command::LineInto => Some(session.step_line(false)),
            Command::Step => Some(session.step_schedule()),
            Command::Follow => Some(session.follow()),
            Command::Run => return self.run(Whom::All),
            Command::RunSelected => return self.run(Whom::Selected),
            Command::End => return self.run(Whom::Plan),
            Command::GracePeriod => Some(session.end_grace_period()),
            Command::FailAllocation => Some(session.fail_allocation()),
            Command::Back if session.back() => None,
            Command::BackStep if session.back_step() => None,
            Command::Back | Command::BackStep => {
                self.message = "this is the start".to_owned();
                None
            }
            Command::Start => {
                session.to_start();
                None
            }
            Command::Up => {
                session.select(-1);
                None
            }
            Command::Down => {
                session.select(1);
                None
            }
            other => return self.show(other),
        };
        self.mark = None;
        if let Some(stop) = stop {
            self.stopped(stop);
        }
    }

    /// Commands that change only what is shown.
    fn show(&mut self, command: Command) {
        match command {
            Command::MarkDown => self.move_mark(1),
            Command::MarkUp => self.move_mark(-1),
            Command::Break => self.break_at_mark(),
            Command::Watch => self.prompt = Some(Prompt { sign: ':', text: "watch ".to_owned() }),
            Command::Words => self.prompt = Some(Prompt { sign: ':', text: String::new() }),
            Command::Search => self.prompt = Some(Prompt { sign: '/', text: String::new() }),
            Command::Pane(number) => self.set_pane(number),
            Command::NextPane => {
                let now = Pane::ALL.iter().position(|&pane| pane == self.pane).unwrap_or(0);
                self.set_pane((now + 1) % Pane::ALL.len());
            }
            Command::ScrollDown => self.scroll = self.scroll.saturating_add(5),
            Command::ScrollUp => self.scroll = self.scroll.saturating_sub(5),
            Command::Token => self.token(),
            Command::Path => self.path_screen(),
            Command::Help => self.help = Some(0),
            Command::Quit => self.quit = true,
            _ => {}
        }
    }

    fn set_pane(&mut self, number: usize) {
        if let Some(&pane) = Pane::ALL.get(number) {
            self.pane = pane;
            self.scroll = 0;
        }
    }

    fn run(&mut self, whom: Whom) {
        self.mark = None;
        if let Screen::Machine(session) = &self.screen {
            self.running = Some(session.begin(whom));
            self.go_on();
        }
    }

    /// Says why it stopped.
    fn stopped(&mut self, stop: Stop) {
        self.message = match stop {
            Stop::Done | Stop::Budget | Stop::Interrupted => return,
            Stop::Break(place) => format!("break at {place}"),
            Stop::Changed(what, before, now) => format!("{what}: {before} becomes {now}"),
            Stop::Finding(kind) => {
                self.set_pane(3);
                format!("found: {kind}")
            }
            Stop::Over => "the run is over, and nothing is wrong; Left goes back, g to the start".to_owned(),
            Stop::Choice => "this step can go in several ways: choose one in `next`, then Enter or s".to_owned(),
            Stop::Nothing(why) => why,
        };
    }

    fn token(&mut self) {
        let Screen::Machine(session) = &self.screen else { return };
        let token = session.token();
        self.set_pane(4);
        self.message = "the token is in pane 5, and copied if the terminal takes it".to_owned();
        self.copy = Some(token);
    }

    /// The source line at which the chosen CPU is shown.
    #[must_use]
    pub fn current_line(&self) -> Option<Mark> {
        if let Screen::Path(path) = &self.screen {
            let line = path.program().line_at(path.step()?.insn)?;
            return Some((line.file.to_string(), line.line));
        }
        let Screen::Machine(session) = &self.screen else { return None };
        let actor = session.selected().actor;
        let place = match session.state(actor) {
            Some(state) => state.place,
            None => session.next_start(actor).or_else(|| session.last_place(actor))?,
        };
        let program = session.machine().programs().get(place.program as usize)?.source();
        program.line_at(place.insn as usize).map(|line| (line.file.to_string(), line.line))
    }

    fn move_mark(&mut self, by: i64) {
        let Some((file, line)) = self.mark.clone().or_else(|| self.current_line()) else { return };
        let Some(lines) = self.sources.file(&file).map(|source| &source.lines) else { return };
        let next = match by {
            1.. => lines.range(line.saturating_add(1)..).next(),
            _ => lines.range(..line).next_back(),
        };
        if let Some((&line, _)) = next {
            self.mark = Some((file, line));
        }
    }

    fn break_at_mark(&mut self) {
        let Some((file, line)) = self.mark.clone().or_else(|| self.current_line()) else {
            self.message = "no source line is known here".to_owned();
            return;
        };
        self.toggle_break(Break::Line { file: Some(file_name(&file).to_owned()), line });
    }

    fn toggle_break(&mut self, wanted: Break) {
        let set = match &mut self.screen {
            Screen::Machine(session) => session.toggle_break(wanted.clone()),
            Screen::Path(path) => path.toggle_break(wanted.clone()),
            Screen::Pick(_) => return,
        };
        self.message = match set {
            Ok(true) => format!("breaks at {wanted}"),
            Ok(false) => format!("breaks no longer at {wanted}"),
            Err(error) => error,
        };
    }

    fn search(&mut self, text: &str) {
        if !text.is_empty() {
            self.searched = text.to_lowercase();
        }
        let Some((file, line)) = self.mark.clone().or_else(|| self.current_line()) else { return };
        let Some(lines) = self.sources.file(&file).map(|source| &source.lines) else { return };
        let after = lines.range(line.saturating_add(1)..).chain(lines.range(..=line));
        let found = after.into_iter().find(|(_, text)| text.to_lowercase().contains(&self.searched));
        match found.filter(|_| !self.searched.is_empty()) {
            Some((&line, _)) => self.mark = Some((file, line)),
            None => self.message = format!("`{}` is not in {}", self.searched, file_name(&file)),
        }
    }

    fn words(&mut self, text: &str) {
        let (name, argument) = text.split_once(' ').unwrap_or((text, ""));
        let argument = argument.trim();
        let Some(word) = keys::word(name) else {
            if !text.is_empty() {
                self.message = format!("there is no command `{name}`; `:help` lists them");
            }
            return;
        };
        match word.name {
            "break" => match Break::parse(argument) {
                Ok(wanted) => self.toggle_break(wanted),
                Err(error) => self.message = error,
            },
            "watch" => self.watch(argument),
            "delete" => {
                match &mut self.screen {
                    Screen::Machine(session) => session.clear_stops(),
                    Screen::Path(path) => path.clear_breaks(),
                    Screen::Pick(_) => {}
                }
                self.message = "no breaks and nothing watched".to_owned();
            }
            "goto" => self.goto(argument),
            "random" => self.random(argument),
            "token" => self.token(),
            "values" => self.set_pane(2),
            "help" => self.help = Some(0),
            _ => self.quit = true,
        }
    }

    fn watch(&mut self, what: &str) {
        let Screen::Machine(session) = &mut self.screen else { return };
        match session.toggle_watch(what) {
            Ok(true) => self.message = format!("watches {what}; pane 5 shows its value"),
            Ok(false) => self.message = format!("watches {what} no longer"),
            Err(error) => self.message = error,
        }
    }

    fn goto(&mut self, number: &str) {
        let Screen::Machine(session) = &mut self.screen else { return };
        let most = session.done().len() + session.plan().len();
        match number.parse::<usize>().ok().filter(|&number| number <= most) {
            Some(number) => session.go_to(number),
            None => self.message = format!("`{number}` is no step; there are 0 to {most}"),
        }
        self.mark = None;
    }

    fn random(&mut self, seed: &str) {
        let Screen::Machine(session) = &mut self.screen else { return };
        match seed.parse() {
            Ok(seed) => {
                let stop = session.random(&mut Random::new(seed, 0));
                self.stopped(stop);
            }
            Err(_) => self.message = format!("`{seed}` is no seed: give a number"),
        }
    }
}
