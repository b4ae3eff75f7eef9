//! The source and the bytecode around an instruction.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::explore::system::Actor;
use crate::object::{Object, Program};
use crate::report::recorded::instruction;
use crate::stepper::app::App;
use crate::stepper::path::PathSession;
use crate::stepper::session::Session;
use crate::stepper::stops::{Break, file_name};

use super::{CHOSEN, FAINT, STRONG, WRONG, framed, lane_colour};

/// Code, and what stands beside it.
pub struct Code<'a> {
    object: &'a Object,
    /// The program that is shown, and the instruction around which it is.
    shown: Option<(&'a Program, usize)>,
    /// Is the instruction the next one?
    current: bool,
    /// The sign of that.
    sign: Span<'static>,
    breaks: &'a [Break],
    /// Lines at which others are: file, line, sign.
    others: Vec<(String, u32, Span<'static>)>,
    /// Who it is about.
    name: String,
}

impl<'a> Code<'a> {
    /// What the chosen actor executes next, or would.
    pub fn of_machine(session: &'a Session) -> Code<'a> {
        let actor = session.selected().actor;
        let state = session.state(actor);
        let place = state.as_ref().map(|state| state.place);
        let place = place.or_else(|| session.next_start(actor)).or_else(|| session.last_place(actor));
        let program = |place: crate::machine::Place| {
            let program = session.machine().programs().get(place.program as usize)?;
            Some((program.source(), place.insn as usize))
        };
        let sign = match session.has_failed(actor) {
            true => Span::styled("✗", WRONG),
            false => Span::styled("▶", STRONG.fg(lane_colour(actor.0))),
        };
        Code {
            object: session.machine().object(),
            shown: place.and_then(program),
            current: state.is_some(),
            sign,
            breaks: session.breaks(),
            others: others_at(session, actor),
            name: session.actor_name(actor).to_owned(),
        }
    }

    /// What the verifier looks at.
    pub fn of_path(path: &'a PathSession) -> Code<'a> {
        Code {
            object: path.object(),
            shown: path.step().map(|step| (path.program(), step.insn)),
            current: true,
            sign: Span::styled("▶", STRONG),
            breaks: path.breaks(),
            others: Vec::new(),
            name: path.program().name.clone(),
        }
    }
}

/// The lines at which other actors are.
fn others_at(session: &Session, chosen: Actor) -> Vec<(String, u32, Span<'static>)> {
    let line = |actor: Actor| {
        let state = session.state(actor)?;
        let program = session.machine().programs().get(state.place.program as usize)?.source();
        let line = program.line_at(state.place.insn as usize)?;
        let sign = char::from_digit(u32::from(actor.0), 10).unwrap_or('+').to_string();
        Some((line.file.to_string(), line.line, Span::styled(sign, Style::new().fg(lane_colour(actor.0)))))
    };
    session.actors().filter(|&actor| actor != chosen).filter_map(line).collect()
}

/// The first row of a window of `height` rows of `count`, so that row `centre` is well inside.
fn window(centre: usize, count: usize, height: usize) -> usize {
    centre.saturating_sub(height / 2).min(count.saturating_sub(height))
}

/// The source around the current line, or around the mark.
pub fn source(frame: &mut Frame<'_>, area: Rect, app: &App, code: &Code<'_>) {
    let current = app.current_line();
    let centre = app.mark.clone().or_else(|| current.clone());
    let title = match &centre {
        Some((file, _)) => format!(" {} ({}) ", file_name(file), code.name),
        None => format!(" source ({}) ", code.name),
    };
    let inner = framed(frame, area, title);
    let Some((file, line)) = centre else {
        let why = if code.shown.is_some() { "the object has no line here" } else { "it runs nothing" };
        return frame.render_widget(Paragraph::new(Line::styled(why, FAINT)), inner);
    };
    let Some(source) = app.sources.file(&file) else { return };
    let numbers: Vec<u32> = source.lines.keys().copied().collect();
    let at = numbers.partition_point(|&number| number < line);
    let first = window(at, numbers.len(), inner.height.into());
    let lines = numbers.iter().skip(first).take(inner.height.into()).map(|&number| {
        let is_current = code.current && current.as_ref().is_some_and(|(known, at)| *known == file && *at == number);
        let is_marked = app.mark.as_ref().is_some_and(|(_, at)| *at == number);
        let other = code.others.iter().find(|one| one.0 == file && one.1 == number).map(|one| one.2.clone());
        let style = match (is_current, is_marked) {
            (_, true) => CHOSEN,
            (true, false) => STRONG,
            (false, false) => Style::new(),
        };
        Line::from(vec![
            break_sign(has_break(code.breaks, &file, number)),
            if is_current { code.sign.clone() } else { other.unwrap_or_else(|| Span::raw(" ")) },
            Span::styled(format!("{number:>4} "), FAINT),
            Span::styled(source.lines.get(&number).map_or("", String::as_str).to_owned(), style),
        ])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), inner);
}

fn break_sign(is_there: bool) -> Span<'static> {
    if is_there { Span::styled("●", WRONG) } else { Span::raw(" ") }
}

fn has_break(breaks: &[Break], file: &str, number: u32) -> bool {
    breaks.iter().any(|one| match one {
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
pub fn bytecode(frame: &mut Frame<'_>, area: Rect, code: &Code<'_>) {
    let Some((program, insn)) = code.shown else {
        framed(frame, area, " bytecode ");
        return;
    };
    let function = program.function_at(insn).map_or(program.name.as_str(), |function| function.name.as_str());
    let inner = framed(frame, area, format!(" bytecode: {function} "));
    let slots: Vec<usize> = (0..program.insns.len()).filter(|&slot| begins(program, slot)).collect();
    let at = slots.partition_point(|&slot| slot < insn);
    let first = window(at, slots.len(), inner.height.into());
    let lines = slots.iter().skip(first).take(inner.height.into()).map(|&slot| {
        let is_current = code.current && slot == insn;
        let style = if is_current { STRONG } else { Style::new() };
        Line::from(vec![
            break_sign(code.breaks.iter().any(|one| one.is_at(program, slot as u32))),
            if is_current { code.sign.clone() } else { Span::raw(" ") },
            Span::styled(format!("{slot:>4} "), FAINT),
            Span::styled(instruction(code.object, program, slot), style),
        ])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), inner);
}
