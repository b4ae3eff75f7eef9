//! The source and the bytecode of the chosen CPU's program.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::explore::system::Actor;
use crate::machine::Place;
use crate::object::Program;
use crate::report::place::Words;
use crate::stepper::app::App;
use crate::stepper::session::Session;
use crate::stepper::stops::{Break, file_name};

use super::{CHOSEN, FAINT, STRONG, WRONG, framed, lane_colour};

/// Where the chosen actor is shown: the next instruction, or the first of the program that it would start.
fn shown_place(session: &Session) -> Option<Place> {
    let actor = session.selected().actor;
    session.state(actor).map(|state| state.place).or_else(|| session.next_start(actor))
}

/// The first row of a window of `height` rows of `count`, so that row `centre` is well inside.
fn window(centre: usize, count: usize, height: usize) -> usize {
    centre.saturating_sub(height / 2).min(count.saturating_sub(height))
}

/// The source around the current line.
pub fn source(frame: &mut Frame<'_>, area: Rect, app: &App, session: &Session) {
    let current = app.current_line();
    let centre = app.mark.clone().or_else(|| current.clone());
    let name = session.actor_name(session.selected().actor);
    let title = match &centre {
        Some((file, _)) => format!(" {} ({name}) ", file_name(file)),
        None => format!(" source ({name}) "),
    };
    let inner = framed(frame, area, title);
    let Some((file, line)) = centre else {
        let why = if shown_place(session).is_some() { "the object has no line here" } else { "it runs nothing" };
        return frame.render_widget(Paragraph::new(Line::styled(why, FAINT)), inner);
    };
    let Some(source) = app.sources.file(&file) else { return };
    let numbers: Vec<u32> = source.lines.keys().copied().collect();
    let at = numbers.partition_point(|&number| number < line);
    let first = window(at, numbers.len(), inner.height.into());
    let others = others_at(session);
    let lines = numbers.iter().skip(first).take(inner.height.into()).map(|&number| {
        let is_current = current.as_ref().is_some_and(|(known, at)| *known == file && *at == number);
        let is_marked = app.mark.as_ref().is_some_and(|(_, at)| *at == number);
        let text = source.lines.get(&number).map_or("", String::as_str);
        let here = |one: &&(String, u32, Actor)| one.0 == file && one.1 == number;
        let other = others.iter().find(here).map(|one| one.2);
        let style = match (is_current, is_marked) {
            (_, true) => CHOSEN,
            (true, false) => STRONG,
            (false, false) => Style::new(),
        };
        let break_sign = if has_break(session, &file, number) { Span::styled("●", WRONG) } else { Span::raw(" ") };
        Line::from(vec![
            break_sign,
            pointer(session, is_current, other),
            Span::styled(format!("{number:>4} "), FAINT),
            Span::styled(text.to_owned(), style),
        ])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), inner);
}

/// The sign of who is at a line: the chosen one, or the CPU of another.
fn pointer(session: &Session, is_current: bool, other: Option<Actor>) -> Span<'static> {
    match (is_current, other) {
        (true, _) if session.has_failed(session.selected().actor) => Span::styled("✗", WRONG),
        (true, _) => Span::styled("▶", STRONG.fg(lane_colour(session.selected().actor.0))),
        (false, Some(actor)) => {
            let sign = char::from_digit(u32::from(actor.0), 10).unwrap_or('+');
            Span::styled(sign.to_string(), Style::new().fg(lane_colour(actor.0)))
        }
        (false, None) => Span::raw(" "),
    }
}

/// The lines at which other actors are.
fn others_at(session: &Session) -> Vec<(String, u32, Actor)> {
    let chosen = session.selected().actor;
    let line = |actor: Actor| {
        let state = session.state(actor)?;
        let program = session.machine().programs().get(state.place.program as usize)?.source();
        let line = program.line_at(state.place.insn as usize)?;
        Some((line.file.to_string(), line.line, actor))
    };
    session.actors().filter(|&actor| actor != chosen).filter_map(line).collect()
}

fn has_break(session: &Session, file: &str, number: u32) -> bool {
    session.breaks().iter().any(|one| match one {
        Break::Line { file: named, line } => {
            *line == number && named.as_ref().is_none_or(|named| named == file_name(file))
        }
        _ => false,
    })
}

/// Slots that begin an instruction: not the second halves of wide loads.
fn begins(program: &Program, slot: usize) -> bool {
    program.insns.get(slot).is_some_and(|raw| raw.opcode != 0)
}

/// The instructions around the current one.
pub fn bytecode(frame: &mut Frame<'_>, area: Rect, session: &Session) {
    let place = shown_place(session);
    let program = place.and_then(|place| session.machine().programs().get(place.program as usize));
    let (Some(place), Some(program)) = (place, program) else {
        framed(frame, area, " bytecode ");
        return;
    };
    let program = program.source();
    let function = program.function_at(place.insn as usize).map_or("", |function| function.name.as_str());
    let inner = framed(frame, area, format!(" bytecode: {} ", if function.is_empty() { &program.name } else { function }));
    let slots: Vec<usize> = (0..program.insns.len()).filter(|&slot| begins(program, slot)).collect();
    let at = slots.partition_point(|&slot| slot < place.insn as usize);
    let first = window(at, slots.len(), inner.height.into());
    let words = Words::new(session.machine());
    let running = session.state(session.selected().actor).is_some();
    let lines = slots.iter().skip(first).take(inner.height.into()).map(|&slot| {
        let here = Place { insn: slot as u32, ..place };
        let is_current = running && here == place;
        let break_sign = if session.break_at(here) { Span::styled("●", WRONG) } else { Span::raw(" ") };
        let style = if is_current { STRONG } else { Style::new() };
        let text = words.instruction(here);
        // The opcode's number says nothing that the text does not.
        let text = text.split_once(": (").and_then(|(slot, rest)| Some((slot, rest.split_once(") ")?.1)));
        let text = text.map_or_else(|| words.instruction(here), |(slot, text)| format!("{slot:>4} {text}"));
        Line::from(vec![break_sign, pointer(session, is_current, None), Span::styled(text, style)])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).style(Style::new().fg(Color::Reset)), inner);
}
