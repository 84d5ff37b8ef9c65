use std::time::Duration;
#[allow(dead_code, unreachable_pub)]
#[path = "../src/estimator.rs"]
mod estimator;
#[allow(dead_code)]
mod simulation;
mod sync { pub(crate) use std::sync::atomic::{AtomicU64, Ordering}; }
use estimator::{Estimator, Settings};
use simulation::{Latency, Limit, calm, run, slow, hanging};
struct T(Estimator);
impl Limit for T {
    fn limit(&self) -> Duration { self.0.limit() }
    fn answered(&mut self, l: Duration) { self.0.answered(l); }
    fn timed_out(&mut self, l: Duration) { self.0.timed_out(l); }
}
fn t()->T{T(Estimator::new(Settings::default()))}
#[test]
fn trace(){
  for (n,l) in [("heavy",Latency::LogNormal(15.,0.8)),("light",Latency::LogNormal(20.,0.3)),("cache",Latency::CacheWithMisses)] {
    let mut st=vec![]; let mut first=vec![]; let mut h1=vec![];let mut h5=vec![]; let mut back=vec![]; let mut out=vec![]; let mut low=vec![]; let mut lowf=vec![];let mut base=vec![];
    for seed in 0..20 { for f in [5.,10.] { let o=run(&mut t(),l,200.,&[calm(60),slow(60,f),calm(60)],seed); base.push(o[0].false_timeouts(10..60)); first.push(o[1].false_timeouts(0..10)); st.push(o[1].false_timeouts(10..60)); back.push(o[2].limit_is_back(1.5,o[0].limit(10..60)).unwrap_or(999) as f64); }
      for (h,v) in [(0.01,&mut h1),(0.05,&mut h5)] { let o=run(&mut t(),l,200.,&[calm(60),hanging(300,h)],seed); v.push(o[1].limit(10..300)/o[0].limit(10..60)); }
      let o=run(&mut t(),l,200.,&[calm(60),hanging(20,1.0),calm(60)],seed); out.push(o[2].limit_is_back(1.5,o[0].limit(10..60)).unwrap_or(999) as f64);
      let o=run(&mut t(),l,1.,&[calm(600),slow(600,5.)],seed); lowf.push(o[1].false_timeouts(0..20)); low.push(o[1].false_timeouts(20..600));
    }
    for (m,v) in [("base",base),("first",first),("later",st),("back",back),("h1",h1),("h5",h5),("outback",out),("lowfirst",lowf),("low",low)] { let mut v=v; v.sort_by(f64::total_cmp); print!("{m} {:.2}/{:.2}/{:.2} | ",v.iter().sum::<f64>()/v.len() as f64,v[v.len()/2],v[v.len()-1]); }
    println!("{n}");
  }
}
