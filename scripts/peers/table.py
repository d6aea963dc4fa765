#!/usr/bin/env python3
"""Converts the raw rounds of bench-peers.sh to Markdown.

usage: table.py ROUNDS.tsv    (workload, round, client, count, CPU seconds, wall seconds, ms that the server waited for its core)

Ratios are taken within a round, between neighbouring runs. The median of the rounds is printed, so drift cancels out.
"""
import statistics
import sys

WORK = {
    "plain": ("Plain requests: small JSON response, 64 connections", "request"),
    "stream": ("Streams: 1,000 at once, out of step, 50 events/s each, one event per segment", "event"),
    "burst": ("Bursts: 34 events in one segment, 64 connections", "response"),
    "https": ("Plain requests over TLS 1.3, 64 connections, to nginx", "request"),
}
OURS, FLOOR = "llmsim-blast", "floor"


def ratio(rounds, client, other):
    both = [r for r in rounds if client in r and other in r]
    if not both:
        return "–"
    return f"{statistics.median(r[client][0] / r[other][0] for r in both):.2f}"


def main():
    works = {}
    waits = []
    for line in open(sys.argv[1]):
        work, number, client, count, cpu, wall, waited = line.split()
        if int(count) == 0:
            continue
        waits.append(int(waited) / 1000 / float(wall))
        rounds = works.setdefault(work, {})
        rounds.setdefault(int(number), {})[client] = (float(cpu) / int(count) * 1e6, int(count) / float(wall))
    for work, by_number in works.items():
        title, unit = WORK[work]
        rounds = list(by_number.values())
        clients = list(dict.fromkeys(client for r in rounds for client in r))
        print(f"### {title}\n")
        print(f"| Client | CPU µs/{unit} | lowest–highest | {unit}s/s | × {OURS} | × floor |")
        print("|---|---:|---:|---:|---:|---:|")
        medians = {c: statistics.median(r[c][0] for r in rounds if c in r) for c in clients}
        for client in sorted(clients, key=medians.get):
            costs = [r[client][0] for r in rounds if client in r]
            rate = statistics.median(r[client][1] for r in rounds if client in r)
            print(
                f"| {client} | {medians[client]:.2f} | {min(costs):.2f}–{max(costs):.2f} | {rate:,.0f} "
                f"| {ratio(rounds, client, OURS)} | {ratio(rounds, client, FLOOR)} |"
            )
        print()
    if waits:
        print(
            f"The server waited for its core for {statistics.median(waits):.1%} of the time (median of the runs), "
            f"{max(waits):.1%} at worst.\nAbove a few percent, the machine was not quiet: rates are too low and ratios "
            "are noisier.\n"
        )
    print("Raw data, in the order of the runs:\n")
    print("```text")
    print(f"{'work':<8}{'round':>6} {'client':<14}{'count':>10}{'CPU s':>9}{'wall s':>9}{'waited ms':>11}")
    for line in open(sys.argv[1]):
        work, number, client, count, cpu, wall, waited = line.split()
        print(f"{work:<8}{number:>6} {client:<14}{count:>10}{cpu:>9}{wall:>9}{waited:>11}")
    print("```")


main()
