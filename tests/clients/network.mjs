// A network between a browser and a site that takes its time, and loses answers.
import { connect, createServer } from "node:net";

// network makes one in front of a site that speaks plain HTTP/1.1. latency is the time in milliseconds from
// a request to the first of its answer that the network adds; asked are the requests that passed.
export async function network(site) {
    const { hostname, port } = new URL(site);
    const net = { latency: 0, asked: [], lost: 0, losing: undefined };
    // lose has the next answers to requests that match break off before anything of them arrives.
    net.lose = (count, match) => (net.losing = { count, match });
    const server = createServer((near) => {
        const far = connect({ host: hostname, port: Number(port) });
        let doomed = false;
        const late = (to, data) => setTimeout(() => to.destroyed || to.write(data), net.latency / 2);
        near.on("data", (data) => {
            const line = /^(GET|HEAD|POST) (\S+) HTTP/.exec(data.toString("latin1"));
            if (line) {
                const request = `${line[1]} ${line[2]}`;
                net.asked.push(request);
                if (net.losing?.count > 0 && net.losing.match.test(request)) {
                    net.losing.count--;
                    doomed = true;
                }
            }
            late(far, data);
        });
        far.on("data", (data) => {
            if (!doomed) return late(near, data);
            net.lost++;
            near.destroy();
            far.destroy();
        });
        for (const [one, other] of [[near, far], [far, near]]) {
            one.on("error", () => other.destroy());
            one.on("close", () => setTimeout(() => other.end(), net.latency / 2));
        }
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    server.unref();
    net.route = `MAP ${hostname}:${port} 127.0.0.1:${server.address().port}`;
    return net;
}
