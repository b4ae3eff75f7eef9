//! A layered drawing of a directed graph (Sugiyama, Tagawa, Toda: Methods for Visual Understanding of Hierarchical System Structures,
//! 1981): nodes in layers from top to bottom, long edges led around the nodes of the layers between.
//!
//! The same graph is always drawn the same, and no graph makes it fail; the crates that were looked at promise neither, and none gives edges
//! their course. Start at [`layered`].

/// Space between nodes of a layer, in pixels.
const GAP: i32 = 28;
/// Space that an edge takes where it passes a layer.
const EDGE_WIDTH: i32 = 10;
/// Space between layers.
const LAYER_GAP: i32 = 44;
/// Space around the drawing.
const MARGIN: i32 = 16;
/// Times that layers are put in order, down and up.
const SWEEPS: usize = 12;
/// Times that nodes are moved over their neighbours.
const ALIGNMENTS: usize = 16;

/// A node's size in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width: i32,
    /// Height.
    pub height: i32,
}

/// Where everything is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawing {
    /// Upper left corners of nodes.
    pub corners: Vec<(i32, i32)>,
    /// The course of each edge, from its source to its target.
    pub routes: Vec<Vec<(i32, i32)>>,
    /// Width of the whole.
    pub width: i32,
    /// Height of the whole.
    pub height: i32,
}

/// A place in a layer: a node, or where a long edge passes.
#[derive(Clone, Copy, Debug)]
struct Vertex {
    layer: usize,
    width: i32,
    height: i32,
    /// Middle, in pixels.
    x: f64,
}

/// Nodes and passing points, and which are connected from one layer to the next.
struct Layers {
    vertices: Vec<Vertex>,
    above: Vec<Vec<usize>>,
    below: Vec<Vec<usize>>,
    rows: Vec<Vec<usize>>,
    /// Passing points of each edge, from the upper to the lower end.
    passes: Vec<Vec<usize>>,
}

/// Draws a graph. Node 0 is where it begins; edges are pairs of nodes, and those of nodes that do not exist have no course.
#[must_use]
pub fn layered(sizes: &[Size], edges: &[(usize, usize)]) -> Drawing {
    if sizes.is_empty() {
        return Drawing::default();
    }
    let is_back = back_edges(sizes.len(), edges);
    let levels = levels(sizes.len(), edges, &is_back);
    let mut layers = Layers::new(sizes, edges, &levels);
    layers.put_in_order();
    layers.align();
    layers.draw(sizes, edges, &is_back)
}

/// Which edges lead back to a node whose successors are still being looked at.
fn back_edges(nodes: usize, edges: &[(usize, usize)]) -> Vec<bool> {
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    for (index, &(from, to)) in edges.iter().enumerate() {
        if from < nodes && to < nodes {
            out[from].push(index);
        }
    }
    let mut is_back = vec![false; edges.len()];
    let (mut seen, mut open) = (vec![false; nodes], vec![false; nodes]);
    for root in 0..nodes {
        if seen[root] {
            continue;
        }
        (seen[root], open[root]) = (true, true);
        let mut stack = vec![(root, 0)];
        while let Some((node, next)) = stack.last_mut() {
            let Some(&edge) = out[*node].get(*next) else {
                open[*node] = false;
                stack.pop();
                continue;
            };
            *next += 1;
            let to = edges[edge].1;
            if open[to] {
                is_back[edge] = true;
            } else if !seen[to] {
                (seen[to], open[to]) = (true, true);
                stack.push((to, 0));
            }
        }
    }
    is_back
}

/// The layer of each node: below all that lead to it.
fn levels(nodes: usize, edges: &[(usize, usize)], is_back: &[bool]) -> Vec<usize> {
    let forward = |index: usize, &(from, to): &(usize, usize)| {
        (!is_back[index] && from < nodes && to < nodes).then_some((from, to))
    };
    let ahead: Vec<(usize, usize)> =
        edges.iter().enumerate().filter_map(|(index, edge)| forward(index, edge)).collect();
    let mut waiting = vec![0; nodes];
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    for &(from, to) in &ahead {
        waiting[to] += 1;
        out[from].push(to);
    }
    let mut level = vec![0; nodes];
    let mut ready: Vec<usize> = (0..nodes).filter(|&node| waiting[node] == 0).collect();
    while let Some(node) = ready.pop() {
        for &to in &out[node] {
            level[to] = level[to].max(level[node] + 1);
            waiting[to] -= 1;
            if waiting[to] == 0 {
                ready.push(to);
            }
        }
    }
    level
}

impl Layers {
    fn new(sizes: &[Size], edges: &[(usize, usize)], levels: &[usize]) -> Layers {
        let vertex = |(size, &layer): (&Size, &usize)| Vertex { layer, width: size.width, height: size.height, x: 0.0 };
        let vertices: Vec<Vertex> = sizes.iter().zip(levels).map(vertex).collect();
        let rows = levels.iter().max().map_or(0, |last| last + 1);
        let mut layers = Layers {
            above: vec![Vec::new(); vertices.len()],
            below: vec![Vec::new(); vertices.len()],
            rows: vec![Vec::new(); rows],
            passes: Vec::with_capacity(edges.len()),
            vertices,
        };
        for (node, &level) in levels.iter().enumerate() {
            layers.rows[level].push(node);
        }
        for &(from, to) in edges {
            let passes = layers.connect(from, to);
            layers.passes.push(passes);
        }
        layers
    }

    /// Leads an edge from layer to layer and returns where it passes, from top to bottom.
    fn connect(&mut self, from: usize, to: usize) -> Vec<usize> {
        let (Some(one), Some(other)) = (self.vertices.get(from), self.vertices.get(to)) else { return Vec::new() };
        let (upper, lower, first, last) = if one.layer <= other.layer {
            (from, to, one.layer, other.layer)
        } else {
            (to, from, other.layer, one.layer)
        };
        let mut passes = Vec::new();
        let mut at = upper;
        for layer in first + 1..last {
            let vertex = self.vertices.len();
            self.vertices.push(Vertex { layer, width: EDGE_WIDTH, height: 0, x: 0.0 });
            self.above.push(vec![at]);
            self.below.push(Vec::new());
            self.below[at].push(vertex);
            self.rows[layer].push(vertex);
            passes.push(vertex);
            at = vertex;
        }
        if upper != lower && first != last {
            self.below[at].push(lower);
            self.above[lower].push(at);
        }
        passes
    }

    /// Puts each layer in the order of the middles of its neighbours in the layer above, then below, and so on.
    fn put_in_order(&mut self) {
        let mut position = vec![0.0; self.vertices.len()];
        let note = |row: &[usize], position: &mut Vec<f64>| {
            for (index, &vertex) in row.iter().enumerate() {
                position[vertex] = index as f64;
            }
        };
        for row in &self.rows {
            note(row, &mut position);
        }
        for sweep in 0..SWEEPS {
            let down = sweep % 2 == 0;
            for index in 0..self.rows.len() {
                let index = if down { index } else { self.rows.len() - 1 - index };
                let neighbours = if down { &self.above } else { &self.below };
                let mut keyed: Vec<(f64, usize)> = self.rows[index]
                    .iter()
                    .map(|&vertex| (mean(&neighbours[vertex], &position).unwrap_or(position[vertex]), vertex))
                    .collect();
                keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
                self.rows[index] = keyed.into_iter().map(|(_, vertex)| vertex).collect();
                note(&self.rows[index], &mut position);
            }
        }
    }

    /// Moves what is in a layer over or under the middle of its neighbours, as far as its order and its widths let it.
    fn align(&mut self) {
        for row in &self.rows {
            let mut x = 0.0;
            for &vertex in row {
                let width = f64::from(self.vertices[vertex].width);
                self.vertices[vertex].x = x + width / 2.0;
                x += width + f64::from(GAP);
            }
        }
        for round in 0..ALIGNMENTS {
            let down = round % 2 == 0;
            for index in 0..self.rows.len() {
                let index = if down { index } else { self.rows.len() - 1 - index };
                self.align_row(index, round + 2 >= ALIGNMENTS, down);
            }
        }
        let left = |vertex: &Vertex| vertex.x - f64::from(vertex.width) / 2.0;
        let start = self.vertices.iter().map(left).fold(f64::INFINITY, f64::min);
        for vertex in &mut self.vertices {
            vertex.x += f64::from(MARGIN) - start;
        }
    }

    /// Least squares under the constraint that the row keeps its order and its gaps: pooling of neighbours that violate it.
    fn align_row(&mut self, index: usize, both: bool, down: bool) {
        let row = &self.rows[index];
        let middle = |of: &[usize], more: &[usize]| {
            let count = of.len() + more.len();
            (count > 0)
                .then(|| of.iter().chain(more).map(|&vertex| self.vertices[vertex].x).sum::<f64>() / count as f64)
        };
        let mut offsets = Vec::with_capacity(row.len());
        let mut offset = 0.0;
        for (at, &vertex) in row.iter().enumerate() {
            if at > 0 {
                let widths = self.vertices[row[at - 1]].width + self.vertices[vertex].width;
                offset += f64::from(widths) / 2.0 + f64::from(GAP);
            }
            offsets.push(offset);
        }
        // Sum of wishes, weight, and how many: each pool moves as one.
        let mut pools: Vec<(f64, f64, usize)> = Vec::with_capacity(row.len());
        for (&vertex, offset) in row.iter().zip(&offsets) {
            let (above, below) = (&self.above[vertex][..], &self.below[vertex][..]);
            let wanted = match (both, down) {
                (true, _) => middle(above, below),
                (false, true) => middle(above, &[]),
                (false, false) => middle(below, &[]),
            };
            let wish = wanted.unwrap_or(self.vertices[vertex].x) - offset;
            // Edges that pass should be straight.
            let weight = if self.vertices[vertex].height == 0 { 4.0 } else { 1.0 };
            pools.push((wish * weight, weight, 1));
            while let [.., one, other] = pools.as_slice()
                && one.0 / one.1 > other.0 / other.1
            {
                let merged = (one.0 + other.0, one.1 + other.1, one.2 + other.2);
                pools.truncate(pools.len() - 2);
                pools.push(merged);
            }
        }
        let places = pools.iter().flat_map(|&(sum, weight, count)| std::iter::repeat_n(sum / weight, count));
        let places: Vec<f64> = places.zip(&offsets).map(|(place, offset)| place + offset).collect();
        for (&vertex, place) in self.rows[index].iter().zip(places) {
            self.vertices[vertex].x = place;
        }
    }

    /// Corners and courses.
    fn draw(&self, sizes: &[Size], edges: &[(usize, usize)], is_back: &[bool]) -> Drawing {
        let mut tops = Vec::with_capacity(self.rows.len());
        let mut y = MARGIN;
        let heights: Vec<i32> =
            self.rows.iter().map(|row| row.iter().map(|&v| self.vertices[v].height).max().unwrap_or(0)).collect();
        for height in &heights {
            tops.push(y);
            y += height + LAYER_GAP;
        }
        let x = |vertex: usize| self.vertices[vertex].x.round() as i32;
        let top = |vertex: usize| tops[self.vertices[vertex].layer];
        let corners = sizes.iter().enumerate().map(|(node, size)| (x(node) - size.width / 2, top(node)));
        let corners: Vec<(i32, i32)> = corners.collect();
        let course = |(index, &(from, to)): (usize, &(usize, usize))| {
            if from >= sizes.len() || to >= sizes.len() {
                return Vec::new();
            }
            let passes = self.passes[index].iter().flat_map(|&vertex| {
                let layer = self.vertices[vertex].layer;
                [(x(vertex), tops[layer]), (x(vertex), tops[layer] + heights[layer])]
            });
            if is_back[index] || self.vertices[from].layer >= self.vertices[to].layer {
                // Back up: out of the right side and in again there.
                let side =
                    |node: usize| (corners[node].0 + sizes[node].width, corners[node].1 + sizes[node].height / 2);
                let (out, into) = if from == to {
                    ((side(from).0, side(from).1 + 8), (side(to).0, side(to).1 - 8))
                } else {
                    (side(from), side(to))
                };
                let beside = out.0.max(into.0) + GAP / 2;
                let mut points = vec![out];
                let mut between: Vec<(i32, i32)> = passes.collect();
                if between.is_empty() {
                    between = vec![(beside, into.1), (beside, out.1)];
                }
                points.extend(between.into_iter().rev());
                points.push(into);
                return points;
            }
            let mut points = vec![(x(from), top(from) + sizes[from].height)];
            points.extend(passes);
            points.push((x(to), top(to)));
            points
        };
        let routes: Vec<Vec<(i32, i32)>> = edges.iter().enumerate().map(course).collect();
        let right = corners.iter().zip(sizes).map(|((x, _), size)| x + size.width);
        let bends = routes.iter().flatten().map(|point| point.0);
        let width = right.chain(bends).max().unwrap_or(0) + MARGIN;
        Drawing { corners, routes, width, height: y - LAYER_GAP + MARGIN }
    }
}

fn mean(of: &[usize], values: &[f64]) -> Option<f64> {
    (!of.is_empty()).then(|| of.iter().map(|&index| values[index]).sum::<f64>() / of.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boxes(count: usize) -> Vec<Size> {
        (0..count)
            .map(|index| Size { width: 100 + 10 * (index as i32 % 3), height: 30 + 5 * (index as i32 % 4) })
            .collect()
    }

    #[test]
    fn a_diamond_has_its_sides_beside_each_other_and_its_long_edge_between() {
        let sizes = boxes(4);
        let drawing = layered(&sizes, &[(0, 1), (0, 2), (1, 3), (2, 3), (0, 3)]);
        let y: Vec<i32> = drawing.corners.iter().map(|corner| corner.1).collect();
        assert!(y[0] < y[1] && y[1] == y[2] && y[2] < y[3], "{y:?}");
        let long = &drawing.routes[4];
        assert_eq!(long.len(), 4, "it passes the middle layer");
        let inside = |node: usize| drawing.corners[node].0..drawing.corners[node].0 + sizes[node].width;
        assert!(!inside(1).contains(&long[1].0) && !inside(2).contains(&long[1].0), "beside the nodes there");
    }

    #[test]
    fn a_loop_leads_back_up_on_the_right() {
        let sizes = boxes(3);
        let drawing = layered(&sizes, &[(0, 1), (1, 2), (2, 1), (1, 1)]);
        let back = &drawing.routes[2];
        assert_eq!(back[0].0, drawing.corners[2].0 + sizes[2].width);
        assert!(back.last().is_some_and(|end| end.1 < back[0].1));
        assert!(drawing.routes[3].len() >= 3, "a block that leads to itself has a loop");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn nodes_of_any_graph_are_apart_and_edges_end_at_them(
            count in 1usize..24,
            edges in prop::collection::vec((0usize..26, 0usize..26), 0..60),
        ) {
            let sizes = boxes(count);
            let drawing = layered(&sizes, &edges);
            prop_assert_eq!(&drawing, &layered(&sizes, &edges));
            for (one, (a, size)) in drawing.corners.iter().zip(&sizes).enumerate() {
                prop_assert!(a.0 >= 0 && a.1 >= 0 && a.0 + size.width <= drawing.width && a.1 + size.height <= drawing.height);
                for (b, other) in drawing.corners.iter().zip(&sizes).skip(one + 1) {
                    let apart = a.0 + size.width <= b.0 || b.0 + other.width <= a.0 || a.1 + size.height <= b.1 || b.1 + other.height <= a.1;
                    prop_assert!(apart, "{a:?} {b:?}");
                }
            }
            for (&(from, to), route) in edges.iter().zip(&drawing.routes) {
                prop_assert_eq!(route.is_empty(), from >= count || to >= count);
                if let [start, .., end] = route.as_slice() {
                    let touches = |node: usize, point: &(i32, i32)| {
                        let (x, y) = drawing.corners[node];
                        (x..=x + sizes[node].width).contains(&point.0) && (y..=y + sizes[node].height).contains(&point.1)
                    };
                    prop_assert!(touches(from, start) && touches(to, end));
                }
            }
        }
    }
}
