//! The screens, drawn to text.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::draw;
use crate::stepper::app::{App, Maker, Screen};
use crate::stepper::path::PathSession;
use crate::stepper::pick::Picker;
use crate::stepper::session::Session;
use crate::stepper::testing;

struct Make;

impl Maker for Make {
    fn session(&self, on: &[(u32, Vec<String>)]) -> Result<Session, String> {
        let words: Vec<String> = on.iter().map(|(cpu, programs)| format!("{cpu}:{}", programs.join(","))).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Ok(testing::session(&[], &words, |builder| builder))
    }

    fn path(&self, program: &str) -> Result<PathSession, String> {
        testing::path(program)
    }
}

fn app(session: Session) -> App {
    App::new(Screen::Machine(Box::new(session)), testing::sources(), Box::new(Make))
}

/// Types keys: letters as they are, `<` for Enter in a prompt, and names in the second argument behind them.
fn press(app: &mut App, keys: &str) {
    for c in keys.chars() {
        app.key(KeyEvent::from(if c == '<' { KeyCode::Enter } else { KeyCode::Char(c) }));
        while app.is_running() {
            app.tick();
        }
    }
}

fn screen(app: &mut App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal of text");
    terminal.draw(|frame| draw(frame, app)).expect("text can be drawn");
    terminal.backend().to_string()
}

#[test]
fn the_start_of_a_scenario() {
    insta::assert_snapshot!(screen(&mut app(testing::counting()), 80, 24));
}

#[test]
fn a_cpu_in_the_middle_of_a_program() {
    let mut app = app(testing::counting());
    press(&mut app, "<<sss");
    insta::assert_snapshot!(screen(&mut app, 80, 24));
}

#[test]
fn objects_after_a_free_that_a_reader_holds_back() {
    let mut app = app(testing::counting());
    press(&mut app, "<<<");
    app.key(KeyEvent::from(KeyCode::Down));
    press(&mut app, "<<<<2");
    insta::assert_snapshot!(screen(&mut app, 80, 24));
    insta::assert_snapshot!(screen(&mut app, 100, 45));
    insta::assert_snapshot!(screen(&mut app, 170, 45));
}

#[test]
fn the_end_of_a_run() {
    let mut app = app(testing::counting());
    press(&mut app, "c4");
    insta::assert_snapshot!(screen(&mut app, 80, 24));
}

#[test]
fn breaks_watches_and_the_token() {
    let mut app = app(testing::counting());
    press(&mut app, ":break bpf_x<");
    assert_eq!(app.message, "no program of this scenario has an instruction at bpf_x()");
    press(&mut app, ":b count<:watch slots[0].live<c");
    assert_eq!(app.message, "break at count()");
    press(&mut app, "ct");
    insta::assert_snapshot!(screen(&mut app, 80, 24));
    assert!(app.copy.as_ref().is_some_and(|token| token.starts_with("ks1:")));
}

#[test]
fn the_keys() {
    let mut app = app(testing::counting());
    press(&mut app, "?");
    let first = screen(&mut app, 80, 24);
    insta::assert_snapshot!(first);
    press(&mut app, "jjjjjjjjjjjj");
    let last = screen(&mut app, 80, 24);
    assert!(last.contains(":quit") && !last.contains("one instruction forward"), "{last}");
    press(&mut app, "q");
    assert!(!app.quit && app.help.is_none());
}

#[test]
fn picking_what_runs_where() {
    let picker = Picker::new("percpu_counter.bpf.o", &testing::object().programs);
    let mut app = App::new(Screen::Pick(picker), testing::sources(), Box::new(Make));
    press(&mut app, "ajanja");
    insta::assert_snapshot!(screen(&mut app, 80, 24));
    press(&mut app, "<");
    let Screen::Machine(session) = &app.screen else { panic!("no machine: {}", app.message) };
    assert_eq!(session.rows().len(), 2);
}

#[test]
fn a_terminal_that_is_too_small_is_told_so() {
    let mut app = app(testing::counting());
    for (width, height) in [(79, 24), (80, 23), (20, 5), (1, 1)] {
        let text = screen(&mut app, width, height);
        assert!(width < 30 || text.contains("needs 80 columns and 24 rows"), "{text}");
    }
}

#[test]
fn every_size_and_every_key_can_be_drawn() {
    let mut app = app(testing::counting());
    for binding in crate::stepper::keys::BINDINGS {
        for &key in binding.keys {
            app.key(KeyEvent::from(key));
            app.key(KeyEvent::from(KeyCode::Esc));
            for (width, height) in [(80, 24), (149, 29), (150, 30), (250, 90)] {
                assert!(!screen(&mut app, width, height).is_empty());
            }
        }
    }
}

#[test]
fn the_verifiers_path_of_a_program() {
    let mut app = app(testing::counting());
    press(&mut app, "v");
    assert_eq!(app.message, "count is accepted");
    press(&mut app, "ssssssssnn");
    insta::assert_snapshot!(screen(&mut app, 80, 24));
    press(&mut app, "v");
    assert!(matches!(app.screen, Screen::Machine(_)));
}

#[test]
fn the_path_to_a_rejection() {
    let path = testing::rejected();
    let mut app = App::new(Screen::Path(Box::new(path)), testing::sources(), Box::new(Make));
    press(&mut app, "G");
    insta::assert_snapshot!(screen(&mut app, 80, 24));
    press(&mut app, "3");
    insta::assert_snapshot!(screen(&mut app, 100, 30));
    press(&mut app, "v");
    assert!(app.message.starts_with("there is no machine"));
}

/// The row of the screen that has this text from that column on.
fn row_of(screen: &str, text: &str, column: u16) -> u16 {
    // The backend's rows are quoted.
    let from = |line: &str| line.chars().skip(usize::from(column) + 1).collect::<String>();
    screen.lines().position(|line| from(line).starts_with(text)).expect("it is on the screen") as u16
}

#[test]
fn a_click_chooses_what_comes_next() {
    let mut app = app(testing::counting());
    let chosen = |app: &App| match &app.screen {
        Screen::Machine(session) => session.selected().actor.0,
        _ => u16::MAX,
    };
    for (width, height) in [(80, 24), (100, 30), (170, 45)] {
        for actor in [1, 0, 1] {
            let text = screen(&mut app, width, height);
            let row = row_of(&text, &format!("CPU {actor} starts"), app.next_area.x);
            let column = app.next_area.x + 3;
            app.mouse(click(MouseEventKind::Down(MouseButton::Left), column, row));
            assert_eq!(chosen(&app), actor, "{text}");
        }
        app.mouse(click(MouseEventKind::Down(MouseButton::Right), app.next_area.x, app.next_area.y));
        app.mouse(click(MouseEventKind::Up(MouseButton::Left), app.next_area.x, app.next_area.y));
        app.mouse(click(MouseEventKind::Moved, app.next_area.x, app.next_area.y));
        app.mouse(click(MouseEventKind::Down(MouseButton::Left), width - 1, height - 1));
        assert_eq!(chosen(&app), 1, "only the left button, and only in `next`");
    }
}

#[test]
fn the_wheel_moves_the_panes_text() {
    let mut app = app(testing::counting());
    let before = screen(&mut app, 80, 24);
    app.mouse(click(MouseEventKind::ScrollDown, 1, 1));
    assert_eq!(app.scroll, 5);
    app.mouse(click(MouseEventKind::ScrollUp, 1, 1));
    assert_eq!((app.scroll, screen(&mut app, 80, 24)), (0, before));
}

fn click(kind: MouseEventKind, column: u16, row: u16) -> MouseEvent {
    MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }
}
