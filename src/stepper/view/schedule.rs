//! The schedule so far as a lane for each actor, what is planned behind it, and what can be done next.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::explore::simulation::ActorKind;
use crate::explore::system::Actor;
use crate::machine::CallbackKind;
use crate::stepper::session::Session;

use super::{CHOSEN, FAINT, STRONG, framed, lane_colour};

/// Lanes that are drawn.
const MAX_LANES: usize = 12;

/// What a lane is headed: a CPU's number, `b` for a store buffer, `t` and `w` for timers and work, `o` for other objects, `g` for grace periods.
fn lane_name(session: &Session, actor: Actor) -> String {
    match session.actor_kind(actor) {
        ActorKind::Task { cpu } => cpu.to_string(),
        ActorKind::StoreBuffer { cpu } => format!("b{cpu}"),
        ActorKind::Callback { cpu, kind: CallbackKind::Timer } => format!("t{cpu}"),
        ActorKind::Callback { cpu, kind: CallbackKind::Work } => format!("w{cpu}"),
        ActorKind::Others => "o".to_owned(),
        ActorKind::GracePeriod => "g".to_owned(),
    }
}

/// The actors that have lanes: tasks, and others that take part.
fn lanes_of(session: &Session) -> Vec<Actor> {
    let takes_part = |actor: Actor| {
        session.done().any(|(choice, _)| choice.actor == actor)
            || session.plan().any(|planned| planned.choice.actor == actor)
    };
    let is_task = |actor: Actor| matches!(session.actor_kind(actor), ActorKind::Task { .. });
    session.actors().filter(|&actor| is_task(actor) || takes_part(actor)).take(MAX_LANES).collect()
}

/// The schedule, the newest step at the bottom and a little of the plan below it.
pub fn lanes(frame: &mut Frame<'_>, area: Rect, session: &Session) {
    let inner = framed(frame, area, " schedule ");
    let actors = lanes_of(session);
    let heading: Vec<Span<'_>> = std::iter::once(Span::raw("     "))
        .chain(actors.iter().map(|&actor| {
            Span::styled(format!("{:<3}", lane_name(session, actor)), Style::new().fg(lane_colour(actor.0)))
        }))
        .collect();
    let rows = usize::from(inner.height).saturating_sub(1);
    let planned = session.plan().len().min(rows / 3);
    let done = session.done().len();
    let shown = done.min(rows - planned);
    let planned = session.plan().len().min(rows - shown);
    let mut lines = vec![Line::from(heading)];
    let steps = session.done().enumerate().skip(done - shown);
    for (number, (choice, text)) in steps {
        lines.push(step(&actors, number, choice.actor, text, number + 1 == done));
    }
    for (number, next) in session.plan().take(planned).enumerate() {
        let mut line = step(&actors, done + number, next.choice.actor, &next.text, false);
        line.spans[0] = Span::styled("   ○ ", FAINT);
        lines.push(line.style(FAINT));
    }
    if done == 0 && planned == 0 {
        lines.push(Line::styled("     nothing was done yet", FAINT));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

fn step(actors: &[Actor], number: usize, actor: Actor, text: &str, newest: bool) -> Line<'static> {
    let mut spans = vec![Span::styled(format!("{number:>4} "), FAINT)];
    for &lane in actors {
        let style = Style::new().fg(lane_colour(lane.0));
        spans.push(if lane == actor {
            Span::styled("●  ", style)
        } else {
            Span::styled("│  ", style.patch(FAINT))
        });
    }
    spans.push(Span::styled(text.to_owned(), if newest { STRONG } else { Style::new() }));
    Line::from(spans)
}

/// What can be done next; where the rows are, and which is the first.
pub fn next(frame: &mut Frame<'_>, area: Rect, session: &Session) -> (Rect, usize) {
    let (chosen, rows) = session.chosen_row();
    let inner = framed(frame, area, " next (Enter) ");
    let height = usize::from(inner.height);
    let first = (chosen + 1).saturating_sub(height);
    let lines = rows.iter().enumerate().skip(first).take(height).map(|(index, row)| {
        let colour = Style::new().fg(lane_colour(row.choice.actor.0));
        let style = if row.ready { Style::new() } else { FAINT };
        let line = Line::from(vec![
            Span::styled(format!("{} ", row.actor), colour.patch(if row.ready { STRONG } else { FAINT })),
            Span::styled(row.text.clone(), style),
        ]);
        if index == chosen { line.style(CHOSEN) } else { line }
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), inner);
    (inner, first)
}
