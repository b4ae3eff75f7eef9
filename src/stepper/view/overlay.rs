//! What lies over or stands instead of the panes: the keys, and the list of programs to pick from.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use crate::stepper::keys::{BINDINGS, Binding, WORDS, WordCommand};
use crate::stepper::pick::Picker;

use super::{CHOSEN, FAINT, STRONG, framed};

/// The keys of a screen from a row on; the row that could be.
pub fn help(frame: &mut Frame<'_>, area: Rect, row: u16, on_path: bool) -> u16 {
    let says = |binding: &Binding| match (on_path, binding.path) {
        (true, "the same") | (false, _) => binding.machine,
        (true, path) => path,
    };
    let key = |binding: &Binding| {
        let names = format!("{:<15}", binding.names());
        Line::from(vec![Span::styled(names, STRONG), Span::raw(says(binding))])
    };
    let word = |word: &WordCommand| {
        let written = format!(":{} {}", word.name, word.argument);
        vec![Line::styled(written, STRONG), Line::from(format!("               {}", word.says))]
    };
    let mut lines: Vec<Line<'static>> = BINDINGS.iter().filter(|binding| !says(binding).is_empty()).map(key).collect();
    lines.push(Line::default());
    lines.extend(WORDS.iter().flat_map(word));
    let width = area.width.min(100);
    let height = area.height.saturating_sub(2).min(lines.len() as u16 + 2);
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    let row = row.min((lines.len() as u16 + 2).saturating_sub(height));
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(" keys: Up and Down move, any other closes ");
    frame.render_widget(Paragraph::new(lines).block(block).scroll((row, 0)), place);
    row
}

/// The programs, and what runs where.
pub fn picker(frame: &mut Frame<'_>, area: Rect, title: Rect, picker: &Picker) {
    let text = format!(" kptrsim step  {}  what runs where?", picker.object);
    frame.render_widget(Paragraph::new(text).style(CHOSEN), title);
    let [left, right] = Layout::horizontal([Constraint::Percentage(56), Constraint::Fill(1)]).areas(area);
    let inner = framed(frame, left, " programs ");
    let height = usize::from(inner.height);
    let first = (picker.chosen + 1).saturating_sub(height);
    let programs = picker.programs.iter().enumerate().skip(first).take(height).map(|(index, (name, section))| {
        let line = Line::from(vec![Span::raw(format!(" {name}  ")), Span::styled(section.clone(), FAINT)]);
        if index == picker.chosen { line.style(CHOSEN) } else { line }
    });
    frame.render_widget(Paragraph::new(programs.collect::<Vec<_>>()), inner);
    let inner = framed(frame, right, " CPUs ");
    let name = |&index: &usize| picker.programs.get(index).map_or("?", |(name, _)| name.as_str());
    let mut cpus: Vec<Line<'_>> = picker
        .on
        .iter()
        .enumerate()
        .map(|(cpu, programs)| {
            let programs: Vec<_> = programs.iter().map(name).collect();
            let programs = if programs.is_empty() { "-".to_owned() } else { programs.join(", then ") };
            let sign = if cpu == picker.cpu { "▶" } else { " " };
            Line::from(format!("{sign} CPU {cpu}: {programs}"))
        })
        .collect();
    if picker.on.iter().all(Vec::is_empty) {
        cpus.push(Line::default());
        cpus.push(Line::styled("Enter runs the chosen program on CPU 0.", FAINT));
        cpus.push(Line::styled("To run several: a adds one, n goes to the next CPU.", FAINT));
    }
    frame.render_widget(Paragraph::new(cpus), inner);
}
