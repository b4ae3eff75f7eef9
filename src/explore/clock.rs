//! Vector clocks, one row for each step of a run, in one flat array.
//!
//! A row has a cell for each actor: how many of its steps happen before the row's step, itself included. (Fidge 1988, Mattern 1989.)

/// The clocks of a run's steps.
#[derive(Clone, Debug, Default)]
pub struct Clocks {
    width: usize,
    cells: Vec<u32>,
}

impl Clocks {
    /// No rows; each will have a cell for each of `width` actors.
    #[must_use]
    pub fn new(width: usize) -> Clocks {
        Clocks { width, cells: Vec::new() }
    }

    /// The number of cells in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The clock of step `row`, which must be there.
    #[must_use]
    #[inline]
    pub fn row(&self, row: usize) -> &[u32] {
        &self.cells[row * self.width..(row + 1) * self.width]
    }

    /// Appends a row.
    #[inline]
    pub fn push(&mut self, row: &[u32]) {
        self.cells.extend_from_slice(row);
    }

    /// Forgets all but the first `rows` rows.
    #[inline]
    pub fn truncate(&mut self, rows: usize) {
        self.cells.truncate(rows * self.width);
    }
}

/// Raises each cell of `clock` to that of `other`.
#[inline]
pub fn join(clock: &mut [u32], other: &[u32]) {
    for (mine, theirs) in clock.iter_mut().zip(other) {
        *mine = (*mine).max(*theirs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_apart() {
        let mut clocks = Clocks::new(2);
        clocks.push(&[1, 0]);
        clocks.push(&[0, 1]);
        assert_eq!(clocks.row(1), [0, 1]);
        clocks.truncate(1);
        clocks.push(&[1, 2]);
        assert_eq!((clocks.row(0), clocks.row(1)), (&[1, 0][..], &[1, 2][..]));
    }

    #[test]
    fn joining_takes_the_later_of_each() {
        let mut clock = [3, 1, 0];
        join(&mut clock, &[1, 2, 0]);
        assert_eq!(clock, [3, 2, 0]);
    }
}
