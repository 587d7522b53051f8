use diagnose::{
    evidence::bundle::{Bundle, Limits},
    signals, sources,
};
fn main() {
    for p in std::env::args().skip(1) {
        let t = std::time::Instant::now();
        let b = Bundle::load(&[p.clone().into()], &Limits::default()).unwrap();
        let ev = sources::read(&b);
        let w = signals::onset::windows(&ev, &signals::Ask::default());
        let r = signals::read_all(&ev, &w);
        let label: serde_json::Value = serde_json::from_str(
            &std::fs::read_to_string(format!("{p}/label.json")).unwrap_or("{}".into()),
        )
        .unwrap();
        println!(
            "== {p} {:?} {:?} onset err {:?} {:?}",
            t.elapsed(),
            w.baseline,
            w.onset.map(|o| (o.at - label["onset"].as_f64().unwrap_or(0.0), o.plus_minus, o.gain)),
            ev.sources.iter().map(|s| &s.detail).collect::<Vec<_>>()
        );
        for s in signals::registry() {
            let x = &r[s.name];
            let f = |v: &signals::Value| match v {
                Ok(e) => format!("{} [{:.3},{:.3}] n{:?}", s.unit.show(e.point), e.lo, e.hi, e.n),
                Err(m) => format!("- {}", m.why),
            };
            let c = match &x.change {
                Ok(e) => format!("x{:.2} [{:.2},{:.2}]", e.point, e.lo, e.hi),
                Err(m) => format!("- {}", m.why),
            };
            println!("{:40} {:50} | {:40} | {}", s.name, f(&x.now), f(&x.baseline), c);
        }
    }
}
