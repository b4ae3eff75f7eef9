//! The panes of which one is chosen: a CPU's registers and stack, objects, values, findings, stops.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use crate::explore::simulation::ActorKind;
use crate::explore::system::Choice;
use crate::machine::{Moment, Stage};
use crate::report::explore::describe;
use crate::report::place::Words;
use crate::report::run::{RunReport, copies};
use crate::report::value::plain;
use crate::stepper::app::{App, Pane};
use crate::stepper::objects::{Labels, ObjectView, objects};
use crate::stepper::recording::{FrameState, StackSlot, TaskState};
use crate::stepper::session::Session;

use super::{CHOSEN, FAINT, STRONG, WRONG, framed, scrolled};

/// What changed by the last instruction.
pub const CHANGED: Style = Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD);

/// The panes' names, the chosen one standing out.
fn tabs(chosen: Pane) -> Line<'static> {
    tab_line(&Pane::ALL.map(Pane::name), chosen as usize)
}

/// Names with the keys that choose them.
pub fn tab_line(names: &[&'static str], chosen: usize) -> Line<'static> {
    let tab = |(number, name): (usize, &&str)| {
        let style = if number == chosen { CHOSEN } else { FAINT };
        [Span::styled(format!("{} {name}", number + 1), style), Span::raw(" ")]
    };
    Line::from_iter(names.iter().enumerate().flat_map(tab))
}

/// The chosen pane.
pub fn pane(frame: &mut Frame<'_>, area: Rect, app: &App, session: &Session, pane: Pane) {
    let inner = framed(frame, area, tabs(pane));
    let lines = match pane {
        Pane::Cpu => cpu_lines(session),
        Pane::Objects => object_lines(session),
        Pane::Values => value_lines(session),
        Pane::Findings => finding_lines(session),
        Pane::Stops => stop_lines(session),
    };
    scrolled(frame, inner, lines, app.scroll);
}

/// The chosen CPU in a pane of its own.
pub fn cpu(frame: &mut Frame<'_>, area: Rect, session: &Session, scroll: u16) {
    let name = session.actor_name(session.selected().actor);
    let inner = framed(frame, area, format!(" {name} "));
    scrolled(frame, inner, cpu_lines(session), scroll);
}

fn faint(text: impl Into<String>) -> Line<'static> {
    Line::styled(text.into(), FAINT)
}

fn cpu_lines(session: &Session) -> Vec<Line<'static>> {
    let actor = session.selected().actor;
    let Some(state) = session.state(actor) else {
        let (index, rows) = session.chosen_row();
        let row = rows.get(index).map(|row| format!("{} {}", row.actor, row.text));
        return vec![Line::from(row.unwrap_or_else(|| "nothing to do".to_owned()))];
    };
    let words = Words::new(session.machine());
    let labels = Labels::new(session.machine());
    let mut head = vec![Span::styled(words.program(state.place).to_owned(), STRONG)];
    head.push(Span::raw(format!(" at {}", state.place.insn)));
    if session.has_failed(actor) {
        head.push(Span::styled("  could not go on here", WRONG));
    } else if state.trace {
        head.push(Span::styled("  may sleep (RCU tasks trace)", FAINT));
    }
    if state.rcu > 0 {
        let depth = if state.rcu > 1 { format!(" ({} deep)", state.rcu) } else { String::new() };
        head.push(Span::styled(format!("  in an RCU section{depth}"), Style::new().fg(Color::Cyan)));
    }
    let mut lines = vec![Line::from(head)];
    let before = session.state_before(actor).filter(|before| before.frames.len() == state.frames.len());
    if let Some(frame) = state.innermost() {
        lines.extend(registers(&labels, frame, before.and_then(TaskState::innermost)));
        lines.extend(stack(&labels, frame, before.and_then(TaskState::innermost)));
    }
    lines.extend(callers(&state, &labels));
    let left_out = session.left_out(actor);
    if left_out > 0 {
        lines.push(faint(format!("{left_out} instructions of this step were not kept")));
    }
    lines
}

fn registers(labels: &Labels<'_>, frame: &FrameState, before: Option<&FrameState>) -> Vec<Line<'static>> {
    let known = frame.registers.iter().enumerate();
    known
        .filter_map(|(number, value)| {
            let value = (*value)?;
            let changed = before.is_some_and(|before| before.registers[number] != Some(value));
            let style = if changed { CHANGED } else { Style::new() };
            let name = format!("r{number}");
            Some(Line::from(vec![Span::styled(format!("{name:<4}"), FAINT), Span::styled(labels.value(value), style)]))
        })
        .collect()
}

/// Where in a slot something was written, and what is there.
fn slot_text(labels: &Labels<'_>, slot: &StackSlot) -> (i32, String) {
    let [a, b, c, d, e, f, g, h] = slot.bytes;
    match slot.written {
        0xff => return (slot.offset, labels.value(u64::from_le_bytes(slot.bytes))),
        0x0f => return (slot.offset, format!("{} (4 bytes)", i32::from_le_bytes([a, b, c, d]))),
        0xf0 => return (slot.offset + 4, format!("{} (4 bytes)", i32::from_le_bytes([e, f, g, h]))),
        _ => {}
    }
    let byte = |(index, byte): (usize, &u8)| {
        if slot.written & (1 << index) == 0 { "..".to_owned() } else { format!("{byte:02x}") }
    };
    let bytes: Vec<_> = slot.bytes.iter().enumerate().map(byte).collect();
    (slot.offset, format!("bytes {}", bytes.join(" ")))
}

fn stack(labels: &Labels<'_>, frame: &FrameState, before: Option<&FrameState>) -> Vec<Line<'static>> {
    let slot = |slot: &StackSlot| {
        let changed = before.is_some_and(|before| !before.stack.contains(slot));
        let style = if changed { CHANGED } else { Style::new() };
        let (offset, text) = slot_text(labels, slot);
        Line::from(vec![Span::styled(format!("fp{offset:<5}"), FAINT), Span::styled(text, style)])
    };
    frame.stack.iter().map(slot).collect()
}

/// The calling functions' saved registers, innermost first.
fn callers(state: &TaskState, labels: &Labels<'_>) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (depth, frame) in state.frames.iter().enumerate().rev().skip(1) {
        lines.push(faint(format!("in call {depth}, which goes on later:")));
        let saved = frame.registers.iter().enumerate().filter_map(|(number, value)| Some((number, (*value)?)));
        lines.extend(saved.filter(|&(number, _)| number != 10).map(|(number, value)| {
            Line::from(vec![Span::styled(format!("  r{number}  "), FAINT), Span::raw(labels.value(value))])
        }));
    }
    lines
}

fn stage_style(stage: Stage) -> Style {
    match stage {
        Stage::Owned => Style::new().fg(Color::Green),
        Stage::Published => Style::new().fg(Color::Blue),
        Stage::Borrowed => Style::new().fg(Color::Cyan),
        Stage::Waiting => Style::new().fg(Color::Yellow),
        Stage::Lost => WRONG,
        Stage::Freed => FAINT,
    }
}

fn object_lines(session: &Session) -> Vec<Line<'static>> {
    let words = Words::new(session.machine());
    let all = objects(session.machine(), &session.runners());
    if all.is_empty() {
        return vec![faint("nothing was allocated yet")];
    }
    let moment = |what: &str, at: Moment| {
        let program = session.machine().programs().get(at.place.program as usize);
        let line = program.and_then(|program| program.source().line_at(at.place.insn as usize));
        let place = line.map_or_else(|| words.source(at.place), |line| format!("line {}", line.line));
        faint(format!("  {what} at {place} ({}, CPU {})", words.program(at.place), at.cpu))
    };
    let mut lines = Vec::new();
    // What lives comes first.
    let (gone, live): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.stage == Stage::Freed);
    for one in live.into_iter().chain(gone) {
        lines.push(Line::from(vec![
            Span::styled(format!("{} ", one.name), STRONG),
            Span::styled(one.text.clone(), stage_style(one.stage)),
        ]));
        lines.extend(one.pointers.iter().map(|pointer| {
            let (word, colour) = match (pointer.is_borrowed, one.stage) {
                (true, _) => ("borrowed by", Color::Cyan),
                (false, Stage::Waiting | Stage::Freed) => ("still pointed to by", Color::Red),
                (false, _) => ("pointed to by", Color::Cyan),
            };
            Line::styled(format!("  {word} {}", pointer.by), Style::new().fg(colour))
        }));
        lines.extend(contents(one).into_iter().map(|text| Line::from(format!("  {text}"))));
        lines.extend(one.allocated.map(|at| moment("allocated", at)));
        lines.extend(one.freed.map(|at| moment("freed", at)));
    }
    lines
}

fn contents(object: &ObjectView) -> Vec<String> {
    match (object.per_cpu, &object.values[..]) {
        (true, values) if !values.is_empty() => copies("", values).iter().map(|line| line.trim().to_owned()).collect(),
        (_, values) => values.iter().map(plain).collect(),
    }
}

fn value_lines(session: &Session) -> Vec<Line<'static>> {
    let report = RunReport::new(session.machine(), &[]);
    let mut lines: Vec<Line<'static>> =
        report.globals().iter().map(|(name, value)| Line::from(format!("{name} = {}", plain(value)))).collect();
    lines.extend(report.map_lines().into_iter().map(Line::from));
    if lines.is_empty() {
        lines.push(faint("no globals, and nothing in maps"));
    }
    let printed = session.machine().printed();
    if !printed.is_empty() {
        lines.push(faint("printed:"));
        lines.extend(printed.iter().map(|line| Line::from(format!("  {}", line.trim_end()))));
    }
    lines
}

fn finding_lines(session: &Session) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for finding in session.findings() {
        let text = describe(session.machine(), &finding);
        let mut title = text.title.lines();
        lines.extend(title.next().map(|line| Line::styled(line.to_owned(), WRONG)));
        lines.extend(title.chain(text.body.lines()).map(|line| Line::from(line.to_owned())));
        lines.push(Line::default());
    }
    match session.over() {
        Some(over) => lines.extend(over.outcome.iter().map(|outcome| Line::from(format!("outcome: {outcome}")))),
        None if lines.is_empty() => lines.push(faint("nothing wrong so far")),
        None => {}
    }
    if session.over().is_some() && session.findings().is_empty() {
        lines.push(Line::from("nothing is wrong with this run; another schedule may show more (`kptrsim explore`)"));
    }
    lines
}

fn stop_lines(session: &Session) -> Vec<Line<'static>> {
    let mut lines = vec![faint("breaks:")];
    lines.extend(session.breaks().iter().map(|one| Line::from(format!("  {one}"))));
    if session.breaks().is_empty() {
        lines.push(Line::from("  none: b sets one at the marked line, :break LINE"));
    }
    lines.push(faint("watched:"));
    lines.extend(session.watches().iter().map(|one| Line::from(format!("  {} = {}", one.text, one.last))));
    if session.watches().is_empty() {
        lines.push(Line::from("  nothing: :watch r6, :watch NAME"));
    }
    lines.push(faint("token of the schedule so far (kptrsim replay, kptrsim step):"));
    lines.push(Line::from(session.token()));
    let ends = |(choice, _): (Choice, &str)| session.actor_kind(choice.actor) == ActorKind::GracePeriod;
    if session.done().any(ends) {
        lines.push(faint("it ends grace periods by steps of their own"));
    }
    lines
}
