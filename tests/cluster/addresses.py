"""Names and addresses of the local cluster: fixed, so one such cluster fits on a machine."""

NODE_NAME = "node-1"
CGROUP = "k8s"

# A pair of virtual Ethernet devices joins the machine and the cluster's network namespace.
HOST_LINK = "longtask-host"
NODE_LINK = "longtask-node"
HOST_IP = "10.245.0.1"
NODE_IP = "10.245.0.2"  # the kubelet and Endpoints refuse a loopback address
LINK_BITS = 30

SERVICE_CIDR = "10.96.0.0/16"
API_CLUSTER_IP = "10.96.0.1"
DNS_CLUSTER_IP = "10.96.0.10"
POD_CIDR = "10.244.0.0/16"
POD_SUBNET = "10.244.0.0/24"  # the only node's share

API_SERVER = f"https://{NODE_IP}:6443"

PAUSE_IMAGE = "localhost/pause:1"
COREDNS_IMAGE = "localhost/coredns:1"

# What the files in config/ and manifests/ may name as ${NAME}.
SUBSTITUTIONS = {
    "API_CLUSTER_IP": API_CLUSTER_IP,
    "CGROUP": CGROUP,
    "COREDNS_IMAGE": COREDNS_IMAGE,
    "DNS_CLUSTER_IP": DNS_CLUSTER_IP,
    "NODE_IP": NODE_IP,
    "NODE_NAME": NODE_NAME,
    "PAUSE_IMAGE": PAUSE_IMAGE,
    "POD_CIDR": POD_CIDR,
    "POD_SUBNET": POD_SUBNET,
}
