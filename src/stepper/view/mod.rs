//! What a terminal shows of an [`App`]: the panes, by how much room there is.
//!
//! With 80 columns and 24 rows one pane at a time stands beside source, bytecode and schedule; taller terminals always show the chosen CPU,
//! wider ones have a column more. Start at [`draw`].

mod code;
mod overlay;
mod panes;
mod path;
mod schedule;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};

use super::app::{App, Pane, Screen};
use super::session::Session;

/// Columns that are needed.
pub const MIN_WIDTH: u16 = 80;
/// Rows that are needed.
pub const MIN_HEIGHT: u16 = 24;

/// What says something.
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
/// What is there but does not matter now.
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
/// What is chosen.
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);
/// What is wrong.
const WRONG: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);

/// The colour of an actor's lane.
fn lane_colour(actor: u16) -> Color {
    const COLOURS: [Color; 6] =
        [Color::Cyan, Color::Magenta, Color::Green, Color::Yellow, Color::Blue, Color::LightRed];
    COLOURS[usize::from(actor) % COLOURS.len()]
}

/// Draws the whole screen.
pub fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let area = frame.area();
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        return too_small(frame, area);
    }
    let [title, body, message, keys] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1), Constraint::Length(1)])
            .areas(area);
    match &app.screen {
        Screen::Pick(picker) => overlay::picker(frame, body, title, picker),
        Screen::Machine(session) => {
            draw_title(frame, title, title_line(session));
            let next = machine(frame, body, app, session);
            (app.next_area, app.next_first) = next;
        }
        Screen::Path(session) => {
            draw_title(frame, title, path::title(session));
            path::draw(frame, body, app, session);
        }
    }
    frame.render_widget(Paragraph::new(message_line(app)), message);
    frame.render_widget(Paragraph::new(hint(app)).style(FAINT), keys);
    if let Some(prompt) = app.prompt.as_ref() {
        let column = message.x + 1 + prompt.text.chars().count() as u16;
        frame.set_cursor_position((column.min(message.right().saturating_sub(1)), message.y));
    }
    if let Some(row) = app.help {
        let on_path = matches!(app.screen, Screen::Path(_));
        app.help = Some(overlay::help(frame, area, row, on_path));
    }
}

fn too_small(frame: &mut Frame<'_>, area: Rect) {
    let text = format!(
        "kptrsim step needs {MIN_WIDTH} columns and {MIN_HEIGHT} rows.\nThis terminal has {} and {}: make it larger. q ends.",
        area.width, area.height
    );
    frame.render_widget(Paragraph::new(text).alignment(Alignment::Center).wrap(Wrap { trim: true }), area);
}

/// What is stepped on the left, where it is on the right.
fn title_line(session: &Session) -> (String, String) {
    let (done, planned) = (session.done().len(), session.plan().len());
    let of = if planned == 0 { String::new() } else { format!(" of {}", done + planned) };
    let cpus = session.machine().cpu_count();
    let plural = if cpus == 1 { "" } else { "s" };
    let memory = if session.machine().has_store_buffers() { "TSO" } else { "SC" };
    let end = if session.over().is_some() { ", over" } else { "" };
    (session.name().to_owned(), format!("{cpus} CPU{plural}, {memory}, step {done}{of}{end}"))
}

/// The title: the right part is there in any case.
fn draw_title(frame: &mut Frame<'_>, area: Rect, (left, right): (String, String)) {
    let room = usize::from(area.width).saturating_sub(right.chars().count() + 18);
    let left: String = match left.chars().count() {
        count if count > room => std::iter::once('…').chain(left.chars().skip(count + 1 - room)).collect(),
        _ => left,
    };
    let text = format!(" kptrsim step  {left:<room$}  {right} ");
    frame.render_widget(Paragraph::new(text).style(CHOSEN), area);
}

fn message_line(app: &App) -> Line<'_> {
    match &app.prompt {
        Some(prompt) => Line::from(format!("{}{}", prompt.sign, prompt.text)),
        None if app.message.starts_with("found: ") => Line::styled(app.message.as_str(), WRONG),
        None => Line::styled(app.message.as_str(), STRONG),
    }
}

fn hint(app: &App) -> &'static str {
    match (&app.prompt, &app.screen) {
        (Some(_), _) => "Enter does it, Esc leaves it",
        (None, Screen::Pick(_)) => "Enter start  a add to the CPU  d take away  n p CPU  v verifier's path  q quit",
        (None, Screen::Machine(_)) => "s insn  n line  Enter step  c run  Left back  Up Down choose  ? keys  q quit",
        (None, Screen::Path(_)) => "s insn  n line  Enter event  Left back  Up Down path  v machine  ? keys  q quit",
    }
}

/// A pane's frame; what is inside it.
fn framed(frame: &mut Frame<'_>, area: Rect, title: impl Into<Line<'static>>) -> Rect {
    let block = Block::bordered().border_style(FAINT).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// The panes; where the rows of what can be done next are, and the first of them.
fn machine(frame: &mut Frame<'_>, area: Rect, app: &App, session: &Session) -> (Rect, usize) {
    let rows = session.rows().len() as u16;
    let shown = code::Code::of_machine(session);
    let wide = area.width >= 150 && area.height >= 30;
    let tall = area.height >= 38;
    let next_height = (rows + 2).min(area.height / 3).max(4);
    if wide {
        let [code, middle, right] =
            Layout::horizontal([Constraint::Percentage(40), Constraint::Percentage(28), Constraint::Fill(1)])
                .areas(area);
        let [source, bytecode] = Layout::vertical([Constraint::Fill(3), Constraint::Fill(2)]).areas(code);
        code::source(frame, source, app, &shown);
        code::bytecode(frame, bytecode, &shown);
        let [next, schedule] = Layout::vertical([Constraint::Length(next_height), Constraint::Fill(1)]).areas(middle);
        let rows = schedule::next(frame, next, session);
        schedule::lanes(frame, schedule, session);
        let [cpu, pane] = Layout::vertical([Constraint::Length(18), Constraint::Fill(1)]).areas(right);
        panes::cpu(frame, cpu, session, 0);
        beside_cpu(frame, pane, app, session);
        return rows;
    }
    let [left, right] = Layout::horizontal([Constraint::Percentage(56), Constraint::Fill(1)]).areas(area);
    let [source, bytecode, schedule] =
        Layout::vertical([Constraint::Fill(4), Constraint::Fill(3), Constraint::Fill(4)]).areas(left);
    code::source(frame, source, app, &shown);
    code::bytecode(frame, bytecode, &shown);
    schedule::lanes(frame, schedule, session);
    if tall {
        let [next, cpu, pane] =
            Layout::vertical([Constraint::Length(next_height), Constraint::Length(16), Constraint::Fill(1)])
                .areas(right);
        let rows = schedule::next(frame, next, session);
        panes::cpu(frame, cpu, session, 0);
        beside_cpu(frame, pane, app, session);
        rows
    } else {
        let [next, pane] = Layout::vertical([Constraint::Length(next_height), Constraint::Fill(1)]).areas(right);
        let rows = schedule::next(frame, next, session);
        panes::pane(frame, pane, app, session, app.pane);
        rows
    }
}

/// The pane that is chosen, where the CPU has one of its own.
fn beside_cpu(frame: &mut Frame<'_>, area: Rect, app: &App, session: &Session) {
    let pane = if app.pane == Pane::Cpu { Pane::Objects } else { app.pane };
    panes::pane(frame, area, app, session, pane);
}

/// Text that may be longer than its place, from a row on.
fn scrolled(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'static>>, scroll: u16) {
    let paragraph = Paragraph::new(lines).wrap(Wrap { trim: false });
    let rows = paragraph.line_count(area.width) as u16;
    let scroll = scroll.min(rows.saturating_sub(area.height));
    frame.render_widget(paragraph.scroll((scroll, 0)), area);
    if rows > scroll + area.height && area.height > 0 {
        let more = Rect { x: area.right().saturating_sub(10), y: area.bottom(), width: 10.min(area.width), height: 1 };
        frame.render_widget(Span::styled(" PgDn more ", STRONG), more);
    }
}

#[cfg(test)]
mod tests;
