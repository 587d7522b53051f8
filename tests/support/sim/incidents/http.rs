//! What the front-end refuses.

use crate::sim::{
    cases::{Site, site},
    rng::Rng,
};

/// Requests come that the front-end refuses.
pub fn refused(statuses: &'static [u16], rng: &mut Rng) -> Site {
    let mut site = site(rng);
    let load = rng.between(0.2, 0.5);
    let share = rng.between(0.1, 0.6);
    // Either good requests turn bad, or bad ones come on top.
    let more = if rng.chance(0.5) { 1.0 / (1.0 - share) } else { 1.0 };
    site.load(load, load * more);
    site.change(|shape| shape.refused = (share, statuses));
    site
}
