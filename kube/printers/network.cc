#include "kube/printers/row.h"

#include <set>

namespace kled::kube::printers {

namespace {

std::string addresses_of(const json::value* ingress) {
    std::set<std::string, std::less<>> addresses;
    for (const auto& each : elements(ingress)) {
        const auto address = text_or(text(each, {"ip"}), text(each, {"hostname"}));
        if (!address.empty()) addresses.insert(address);
    }
    return joined(addresses, ",");
}

std::string external_ip(const Row& row) {
    const auto type = row.text({"spec", "type"});
    std::vector<std::string> addresses;
    for (const auto& each : elements(row.at({"spec", "externalIPs"})))
        addresses.push_back(shown(&each, ""));
    if (type == "ExternalName") return std::string{row.text({"spec", "externalName"})};
    if (type == "LoadBalancer") {
        const auto balancer = addresses_of(row.at({"status", "loadBalancer", "ingress"}));
        if (!balancer.empty()) addresses.insert(addresses.begin(), balancer);
        return addresses.empty() ? "<pending>" : joined(addresses, ",");
    }
    if (type != "ClusterIP" && type != "NodePort" && !type.empty()) return std::string{unknown};
    return addresses.empty() ? std::string{none} : joined(addresses, ",");
}

void service_cells(Row& row) {
    std::vector<std::string> ports;
    for (const auto& port : elements(row.at({"spec", "ports"}))) {
        const auto node_port = number(find(port, {"nodePort"}));
        ports.push_back(std::to_string(number(find(port, {"port"}))) +
                        (node_port > 0 ? ":" + std::to_string(node_port) : "") + "/" +
                        text_or(text(port, {"protocol"}), "TCP"));
    }
    const auto& ips = elements(row.at({"spec", "clusterIPs"}));
    row.name()
        .add(text_or(row.text({"spec", "type"}), "ClusterIP"))
        .add(ips.empty() ? text_or(row.text({"spec", "clusterIP"}), none)
                         : shown(&ips.front(), none));
    row.add(external_ip(row))
        .add(ports.empty() ? std::string{none} : joined(ports, ","))
        .age()
        .add(labels(row.at({"spec", "selector"})));
}

void endpoints_cells(Row& row) {
    std::vector<std::string> list;
    for (const auto& subset : elements(row.at({"subsets"}))) {
        const auto add = [&](const std::string& port) {
            for (const auto& address : elements(find(subset, {"addresses"}))) {
                const auto ip = text(address, {"ip"});
                list.push_back(ip.find(':') != std::string_view::npos && !port.empty()
                                   ? "[" + std::string{ip} + "]" + port
                                   : std::string{ip} + port);
            }
        };
        const auto& ports = elements(find(subset, {"ports"}));
        if (ports.empty()) add("");
        for (const auto& port : ports) add(":" + std::to_string(number(find(port, {"port"}))));
    }
    row.name().add(with_more(list, 3, none)).age();
}

void endpoint_slice_cells(Row& row) {
    std::vector<std::string> ports;
    for (const auto& port : elements(row.at({"ports"})))
        ports.push_back(shown(find(port, {"port"}), text_or(text(port, {"name"}), "*")));
    std::vector<std::string> addresses;
    for (const auto& endpoint : elements(row.at({"endpoints"}))) {
        for (const auto& address : elements(find(endpoint, {"addresses"})))
            addresses.push_back(shown(&address, ""));
    }
    row.name()
        .add(row.text({"addressType"}))
        .add(with_more(ports, 3, unset))
        .add(with_more(addresses, 3, unset))
        .age();
}

void ingress_cells(Row& row) {
    std::vector<std::string> hosts;
    const auto& rules = elements(row.at({"spec", "rules"}));
    bool more = false;
    for (const auto& rule : rules) {
        if (hosts.size() == 3) more = true;
        const auto host = text(rule, {"host"});
        if (!more && !host.empty()) hosts.emplace_back(host);
    }
    auto shown_hosts = hosts.empty() ? "*" : joined(hosts, ",");
    if (more) shown_hosts += " + " + std::to_string(rules.size() - 3) + " more...";
    row.name()
        .add(text_or(row.text({"spec", "ingressClassName"}), none))
        .add(shown_hosts)
        .add(addresses_of(row.at({"status", "loadBalancer", "ingress"})));
    row.add(elements(row.at({"spec", "tls"})).empty() ? "80" : "80, 443").age();
}

void ingress_class_cells(Row& row) {
    std::string parameters{none};
    if (row.at({"spec", "parameters"}) != nullptr) {
        const auto group = row.text({"spec", "parameters", "apiGroup"});
        parameters = std::string{row.text({"spec", "parameters", "kind"})} +
                     (group.empty() ? "" : "." + std::string{group}) + "/" +
                     std::string{row.text({"spec", "parameters", "name"})};
    }
    row.name().add(row.text({"spec", "controller"})).add(parameters).age();
}

void network_policy_cells(Row& row) {
    row.name().add(selector(row.at({"spec", "podSelector"}))).age();
}

void service_cidr_cells(Row& row) {
    std::vector<std::string> ranges;
    for (const auto& range : elements(row.at({"spec", "cidrs"})))
        ranges.push_back(shown(&range, ""));
    row.name().add(joined(ranges, ",")).age();
}

void ip_address_cells(Row& row) {
    std::string parent{none};
    if (row.at({"spec", "parentRef"}) != nullptr) {
        const auto part = [&](std::string_view field) {
            return std::string{row.text({"spec", "parentRef", field})};
        };
        parent = lower(part("resource") + (part("group").empty() ? "" : "." + part("group"))) +
                 (part("namespace").empty() ? "" : "/" + part("namespace")) + "/" + part("name");
    }
    row.name().add(parent);
}

constexpr std::string_view network = "networking.k8s.io";

constexpr Kind kinds[] = {
    {"", "Service", "Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector+",
     cells_of<service_cells>},
    {"", "Endpoints", "Name|Endpoints|Age", cells_of<endpoints_cells>},
    {"discovery.k8s.io", "EndpointSlice", "Name|AddressType|Ports|Endpoints|Age",
     cells_of<endpoint_slice_cells>},
    {network, "Ingress", "Name|Class|Hosts|Address|Ports|Age", cells_of<ingress_cells>},
    {network, "IngressClass", "Name|Controller|Parameters|Age", cells_of<ingress_class_cells>},
    {network, "NetworkPolicy", "Name|Pod-Selector|Age", cells_of<network_policy_cells>},
    {network, "ServiceCIDR", "Name|CIDRs|Age", cells_of<service_cidr_cells>},
    {network, "IPAddress", "Name|ParentRef", cells_of<ip_address_cells>},
};

}  // namespace

std::span<const Kind> network_kinds() noexcept { return kinds; }

}  // namespace kled::kube::printers
