//! The verifier's path: what it knows before each instruction, and what happens on the way.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::report::recorded;
use crate::stepper::app::App;
use crate::stepper::path::PathSession;
use crate::verifier::path::{FrameShown, Step};
use crate::verifier::{Place, Verdict};

use super::panes::{CHANGED, tab_line};
use super::{CHOSEN, FAINT, STRONG, WRONG, code, framed, scrolled};

/// Names of the panes.
pub const PANES: [&str; 3] = ["state", "references", "verdict"];

/// The title's parts: what is shown, and where it is.
pub fn title(path: &PathSession) -> (String, String) {
    let ((at, steps), (chosen, paths)) = (path.position(), path.path());
    let verdict = match path.verification().verdict {
        Verdict::Accept => "accepted",
        Verdict::Reject(_) => "rejected",
        Verdict::Unsupported(_) => "cannot be judged",
    };
    let left = format!("{}: {verdict}", path.program().name);
    (left, format!("path {} of {paths}, instruction {} of {steps}", chosen + 1, at + 1))
}

/// The panes.
pub fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, path: &PathSession) {
    let [left, right] = Layout::horizontal([Constraint::Percentage(56), Constraint::Fill(1)]).areas(area);
    let [source, bytecode, events] =
        Layout::vertical([Constraint::Fill(4), Constraint::Fill(3), Constraint::Fill(4)]).areas(left);
    let shown = code::Code::of_path(path);
    code::source(frame, source, app, &shown);
    code::bytecode(frame, bytecode, &shown);
    event_pane(frame, events, path);
    let paths = (path.path().1 as u16 + 2).clamp(3, area.height / 4);
    let [paths, pane] = Layout::vertical([Constraint::Length(paths), Constraint::Fill(1)]).areas(right);
    path_pane(frame, paths, path);
    let number = (app.pane as usize).min(PANES.len() - 1);
    let inner = framed(frame, pane, tab_line(&PANES, number));
    let lines = match number {
        0 => state_lines(path),
        1 => reference_lines(path),
        _ => verdict_lines(path),
    };
    scrolled(frame, inner, lines, app.scroll);
}

/// What happens on the path; where it is now stands out.
fn event_pane(frame: &mut Frame<'_>, area: Rect, path: &PathSession) {
    let inner = framed(frame, area, " on the way ");
    let events = path.events();
    let (at, _) = path.position();
    let behind = events.partition_point(|&(index, ..)| index <= at);
    let height = usize::from(inner.height);
    let first = (behind + height / 3).saturating_sub(height).min(events.len().saturating_sub(height));
    let lines = events.iter().skip(first).take(height).map(|(index, slot, text)| {
        let (sign, style) = match index.cmp(&at) {
            std::cmp::Ordering::Less => (" ", Style::new()),
            std::cmp::Ordering::Equal => ("▶", STRONG),
            std::cmp::Ordering::Greater => (" ", FAINT),
        };
        let style = if text.starts_with("refused") { style.patch(WRONG) } else { style };
        Line::from(vec![Span::raw(sign), Span::styled(format!("{slot:>4} "), FAINT), Span::styled(text.clone(), style)])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), inner);
}

fn path_pane(frame: &mut Frame<'_>, area: Rect, path: &PathSession) {
    let inner = framed(frame, area, " paths (Up Down) ");
    let (chosen, paths) = path.path();
    let height = usize::from(inner.height);
    let first = (chosen + 1).saturating_sub(height);
    let lines = (first..paths).take(height).map(|number| {
        let line = Line::from(path.path_text(number));
        if number == chosen { line.style(CHOSEN) } else { line }
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), inner);
}

fn state_lines(path: &PathSession) -> Vec<Line<'static>> {
    let Some(step) = path.step() else { return Vec::new() };
    let mut lines = vec![sections(step)];
    let innermost = step.before.frames.last();
    let before = path.step_before().and_then(|step| step.before.frames.last());
    let before = before.filter(|before| innermost.is_some_and(|now| now.number == before.number));
    if let Some(frame) = innermost {
        lines.extend(frame_lines(frame, before.map(|frame| &**frame)));
    }
    for frame in step.before.frames.iter().rev().skip(1) {
        lines.push(Line::styled(format!("in frame {}, which goes on later:", frame.number), FAINT));
        lines.extend(frame_lines(frame, None));
    }
    let mut events = step.events.iter().filter(|event| !recorded::is_course(event)).peekable();
    if events.peek().is_some() {
        lines.push(Line::styled("the instruction at ▶:", FAINT));
        lines.extend(events.map(|event| Line::from(format!("  {}", recorded::event(event)))));
    }
    lines
}

/// What the program is in the middle of.
fn sections(step: &Step) -> Line<'static> {
    let known = &step.before;
    let mut words = Vec::new();
    if known.rcu {
        words.push("in bpf_rcu_read_lock".to_owned());
    }
    if known.lock.is_some() {
        words.push("holds a lock".to_owned());
    }
    if known.preempt > 0 {
        words.push("preemption off".to_owned());
    }
    if !known.references.is_empty() {
        words.push(format!("{} to give back", known.references.len()));
    }
    let words = if words.is_empty() { "nothing held".to_owned() } else { words.join(", ") };
    Line::from(vec![
        Span::styled(format!("before {}  ", step.insn), STRONG),
        Span::styled(words, Style::new().fg(Color::Cyan)),
    ])
}

fn frame_lines(frame: &FrameShown, before: Option<&FrameShown>) -> Vec<Line<'static>> {
    let style = |changed: bool| if changed { CHANGED } else { Style::new() };
    let registers = frame.registers.iter().map(|(register, text)| {
        let changed = before.is_some_and(|before| !before.registers.contains(&(*register, text.clone())));
        let name = format!("r{}", register.index());
        Line::from(vec![Span::styled(format!("{name:<4}"), FAINT), Span::styled(text.to_string(), style(changed))])
    });
    let slots = frame.slots.iter().rev().map(|(offset, text)| {
        let changed = before.is_some_and(|before| !before.slots.contains(&(*offset, text.clone())));
        Line::from(vec![Span::styled(format!("fp{offset:<5}"), FAINT), Span::styled(text.to_string(), style(changed))])
    });
    registers.chain(slots).collect()
}

fn reference_lines(path: &PathSession) -> Vec<Line<'static>> {
    let Some(step) = path.step() else { return Vec::new() };
    let mut lines = Vec::new();
    for held in &step.before.references {
        let slot = held.entry.acquired_at as usize;
        let line = path.program().line_at(slot);
        let place = line.map_or_else(String::new, |line| format!(", line {}: {}", line.line, line.text.trim()));
        lines.push(Line::from(vec![
            Span::styled(format!("reference {} ", held.entry.id), STRONG),
            Span::raw(held.what.to_string()),
        ]));
        lines.push(Line::styled(format!("  acquired at instruction {slot}{place}"), FAINT));
        lines.push(Line::from("  has to be given back, or into a map, before the program ends"));
    }
    if lines.is_empty() {
        lines.push(Line::styled("nothing has to be given back here", FAINT));
    }
    lines
}

fn verdict_lines(path: &PathSession) -> Vec<Line<'static>> {
    let verification = path.verification();
    let wrong = verification.verdict != Verdict::Accept;
    let text = format!("{} {}", verification.program, path.verdict());
    let mut lines = vec![Line::styled(text, if wrong { WRONG } else { STRONG })];
    if let Verdict::Reject(rejection) = &verification.verdict {
        lines.push(Line::from(format!("rule {}: kptrsim explain {}", rejection.rule.id(), rejection.rule.id())));
        lines.extend(rejection.notes.iter().map(|note| Line::from(note.clone())));
    }
    if let Some(Place { insn, source }) = &verification.place {
        lines.push(Line::from(format!("at instruction {insn}")));
        lines.extend(source.iter().map(|line| Line::from(format!("line {}: {}", line.line, line.text.trim()))));
    }
    let processed = verification.statistics.insns_processed;
    lines.push(Line::styled(format!("{processed} instructions processed"), FAINT));
    if path.is_cut() {
        lines.push(Line::styled("too many steps: not all of them were kept", FAINT));
    }
    lines
}
