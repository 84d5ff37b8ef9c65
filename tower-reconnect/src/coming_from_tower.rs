#![doc = include_str!("../COMING-FROM-TOWER.md")]
