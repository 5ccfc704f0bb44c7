use super::super::{Backing, ClusterConfig, RequestOptions};
use super::*;

/// An answer that came in the very microsecond of the deadline put the alarm off by one, and the next answer once more.
#[test]
fn an_alarm_that_is_due_is_not_put_off() {
    let (mut cluster, _) =
        Cluster::open(ClusterConfig { nodes: 3, ..ClusterConfig::default() }, Backing::Memory).unwrap();
    cluster.drop_messages(100.0);
    cluster.start_put(b"key", b"value", &RequestOptions::default()).unwrap();
    let find = |cluster: &Cluster| {
        let nodes = cluster.nodes.iter().filter_map(|(id, node)| Some((*id, node.process.as_ref()?)));
        nodes.flat_map(|(id, process)| process.tasks.keys().map(move |task| (id, *task))).next().unwrap()
    };
    let (node, task) = find(&cluster);
    let alarm = |cluster: &mut Cluster| cluster.task(node, task).unwrap().timer.unwrap().at();
    let due = alarm(&mut cluster);
    cluster.now = due;
    cluster.set_task_timer(node, task, due);
    assert_eq!(alarm(&mut cluster), due);
    cluster.set_task_timer(node, task, due.plus(Time(9)));
    assert_eq!(alarm(&mut cluster), due, "it rings, and is set anew");
}
