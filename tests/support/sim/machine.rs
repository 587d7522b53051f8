//! What the machine under the server tells beside /metrics: the GPU's driver, the cgroup, the
//! kernel's log. Each trouble also changes the engine, by a fault of its own where it has to.

use diagnose::evidence::{
    GpuSnapshot, HostRound,
    gpu::{
        Field, Gpu, GpuClocks, GpuErrors, GpuHeld, GpuMemory, GpuPcie, GpuPower, GpuProcess,
        GpuTemperature,
    },
    host::{Cgroup, HostProcess, Pressure},
};

use super::plan::{Plan, Recording};

/// What is the matter with the machine, from the onset on.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// Heat holds the GPU's clocks this share of the time.
    Heat(f64),
    /// The kernel's log gets an Xid of this number with these words.
    Xid(u32, &'static str),
    /// The quota of CPU time is used up in this share of its periods.
    Quota(f64),
    /// A stranger holds this share of the GPU's memory.
    Stranger(f64),
}

/// Seconds between two looks at the machine.
const EVERY: f64 = 30.0;
const PID: u32 = 4711;
const GIB: u64 = 1 << 30;

/// Adds what the machine tells to a recording.
pub fn record(plan: &Plan, recording: &mut Recording) {
    let Some(troubles) = &plan.machine else { return };
    let onset = plan.onset.unwrap_or(f64::INFINITY);
    let looks = (plan.length / EVERY) as usize + 1;
    for look in 0..looks {
        let second = plan.warmup + look as f64 * EVERY;
        let at = recording.epoch + second;
        let ill = (second - onset).max(0.0);
        let (gpus, host) = (snapshot(at, ill, troubles), round(at, second, ill, troubles));
        let ms = (at * 1e3) as u64;
        recording.bundle.record("nvml", ms, serde_json::to_vec(&gpus).unwrap());
        recording.bundle.record("host", ms, serde_json::to_vec(&host).unwrap());
    }
    recording.bundle.kernel_log = Some(kernel_log(recording.epoch + onset, troubles).into_bytes());
}

fn snapshot(at: f64, ill: f64, troubles: &[Trouble]) -> GpuSnapshot {
    let (mut heat, mut stranger) = (0.0, 0.0);
    for trouble in troubles.iter().filter(|_| ill > 0.0) {
        match trouble {
            Trouble::Heat(share) => heat = *share,
            Trouble::Stranger(share) => stranger = *share,
            Trouble::Xid(..) | Trouble::Quota(_) => {}
        }
    }
    let total = 80 * GIB;
    let own = GpuProcess {
        pid: PID,
        memory_bytes: Field::Value(70 * GIB),
        name: Some("VLLM::EngineCore".into()),
        of_server: true,
    };
    let other = GpuProcess {
        pid: 90,
        memory_bytes: Field::Value((stranger * total as f64) as u64),
        name: Some("python3".into()),
        of_server: false,
    };
    let processes = if stranger > 0.0 { vec![own, other] } else { vec![own] };
    let held = |share: f64| Field::Value((ill * share * 1e9) as u64);
    let gpu = Gpu {
        name: Field::Value("NVIDIA H100 80GB HBM3".into()),
        pci: Field::Value("00000000:1B:00.0".into()),
        utilisation_percent: Field::Value(97),
        memory: Field::Value(GpuMemory { total, used: 72 * GIB, free: 8 * GIB }),
        processes: Field::Value(processes),
        clocks: GpuClocks {
            sm_mhz: Field::Value(if heat > 0.0 { 1100 } else { 1965 }),
            sm_target_mhz: Field::Value(1980),
            sm_max_mhz: Field::Value(1980),
            ..GpuClocks::default()
        },
        clock_reasons: Field::Value(if heat > 0.0 { 0x20 } else { 0 }),
        held: GpuHeld {
            power_cap_ns: held(0.0),
            thermal_ns: held(heat),
            software_thermal_ns: held(heat),
            hardware_thermal_ns: held(0.0),
            power_brake_ns: held(0.0),
        },
        power: GpuPower {
            draw_watts: Field::Value(410.0),
            limit_watts: Field::Value(700.0),
            default_limit_watts: Field::Value(700.0),
        },
        temperature: GpuTemperature {
            core: Field::Value(if heat > 0.0 { 88 } else { 55 }),
            core_max: Field::Value(87),
            slowdown: Field::Value(89),
            shutdown: Field::Value(92),
            ..GpuTemperature::default()
        },
        errors: GpuErrors {
            ecc: Field::Value(true),
            corrected: Field::Value(3),
            uncorrected: Field::Value(0),
            remapped_uncorrected: Field::Value(0),
            remap_pending: Field::Value(false),
            remap_failed: Field::Value(false),
            ..GpuErrors::default()
        },
        pcie: GpuPcie {
            generation: Field::Value(5),
            generation_max: Field::Value(5),
            width: Field::Value(16),
            width_max: Field::Value(16),
            replays: Field::Value(0),
        },
        recovery_action: Field::Value(0),
        mig: Field::Value(false),
        ..Gpu::default()
    };
    GpuSnapshot { at, gpus: vec![gpu], ..GpuSnapshot::default() }
}

fn round(at: f64, second: f64, ill: f64, troubles: &[Trouble]) -> HostRound {
    let quota = |trouble: &Trouble| match trouble {
        Trouble::Quota(share) => Some(*share),
        _ => None,
    };
    let quota = troubles.iter().find_map(quota).unwrap_or(0.0);
    let server = HostProcess {
        pid: PID,
        name: "vllm".into(),
        args: vec!["vllm".into(), "serve".into()],
        started: Some(at - second),
        resident_bytes: Some(6 * GIB),
        threads: Some(180),
        open_files: Some(220),
        open_files_limit: Some(65_536),
        ..HostProcess::default()
    };
    HostRound {
        at,
        cpus: Some(32),
        load_1m: Some(9.0),
        pressure: [(
            "cpu".to_owned(),
            Pressure { some_avg60: 2.0, some_total_us: (second * 2e4) as u64 },
        )]
        .into(),
        memory_total_bytes: Some(256 * GIB),
        memory_available_bytes: Some(180 * GIB),
        cgroup: Some(Cgroup {
            path: "/kubepods/pod1".into(),
            cpu_limit: Some(8.0),
            cpu_periods: Some((second * 10.0) as u64),
            cpu_throttled_periods: Some((ill * 10.0 * quota) as u64),
            memory_used_bytes: Some(9 * GIB),
            memory_limit_bytes: Some(64 * GIB),
            oom_kills: Some(0),
        }),
        processes: vec![server],
        ..HostRound::default()
    }
}

fn kernel_log(onset: f64, troubles: &[Trouble]) -> String {
    let mut log = String::from(
        "2026-11-01T00:00:00+0000 host kernel: NVRM: loading NVIDIA UNIX Open Kernel Module\n",
    );
    for trouble in troubles {
        if let Trouble::Xid(code, words) = trouble {
            let at = jiff::Timestamp::from_second(onset as i64).unwrap();
            log += &format!(
                "{} host kernel: NVRM: Xid (PCI:0000:1b:00): {code}, pid={PID}, name=VLLM::EngineCor, {words}\n",
                at.strftime("%Y-%m-%dT%H:%M:%S+0000")
            );
        }
    }
    log
}
