#!/usr/bin/env python3
"""Makes access.log and sales.csv, always the same ones: run it after changing it, and commit what it wrote."""
import datetime
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
START = datetime.datetime(2026, 3, 12, 13, 0, tzinfo=datetime.timezone.utc)
BROWSERS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) AppleWebKit/605.1.15 Version/18.3 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/134.0.0.0 Safari/537.36",
]
# Path, weight, usual seconds.
PATHS = [
    ("GET /", 20, 0.03), ("GET /products", 18, 0.06), ("GET /products/{n}", 24, 0.05), ("GET /search?q=lamp", 8, 0.18),
    ("POST /api/cart", 9, 0.07), ("POST /api/checkout", 7, 0.22), ("GET /api/orders/{n}", 6, 0.09),
    ("GET /static/app.js", 10, 0.004), ("GET /api/reports/export", 1, 2.4), ("POST /login", 3, 0.12),
]
PROBES = ["/.env", "/.git/config", "/wp-login.php", "/phpmyadmin/index.php", "/cgi-bin/test", "/wp-admin/setup.php"]


def line(client, time, request, status, size, agent, seconds):
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{client} - - [{stamp}] "{request} HTTP/1.1" {status} {size} "-" "{agent}" {seconds:.3f}'


def access_log(chance):
    """Ninety minutes of a shop; the checkout's payment backend is away for twelve of them."""
    entries = []
    clients = [f"192.0.2.{chance.randrange(1, 255)}" for _ in range(160)]
    for minute in range(90):
        for _ in range(chance.randrange(12, 20)):
            time = START + datetime.timedelta(minutes=minute, seconds=chance.randrange(60))
            template, _, usual = chance.choices(PATHS, [weight for _, weight, _ in PATHS])[0]
            request = template.replace("{n}", str(chance.randrange(1000, 9999)))
            seconds, status = usual * chance.lognormvariate(0, 0.35), 200
            if 47 <= minute < 59 and "checkout" in request:
                seconds, status = 30 + chance.random(), 504
            elif 47 <= minute < 59 and "/api/" in request and chance.random() < 0.6:
                seconds, status = 5 + chance.random() * 4, 502
            elif chance.random() < 0.004:
                status = 500
            elif chance.random() < 0.02:
                status = 404
            entries.append((time, line(chance.choice(clients), time, request, status, chance.randrange(200, 20000),
                                       chance.choice(BROWSERS), seconds)))
    for number in range(36):
        time = START + datetime.timedelta(minutes=21, seconds=2 * number)
        request = "GET " + PROBES[number % len(PROBES)]
        entries.append((time, line("203.0.113.77", time, request, 404, 153, "zgrab/0.x", 0.002)))
    for number in range(64):
        time = START + datetime.timedelta(minutes=33, seconds=4 * number)
        entries.append((time, line("198.51.100.23", time, "POST /login", 401, 87, "python-requests/2.32", 0.11)))
    entries.append((START + datetime.timedelta(minutes=50), "upstream timed out (110: Connection timed out)"))
    entries.sort(key=lambda entry: entry[0])
    return "\n".join(text for _, text in entries) + "\n"


def sales_csv(chance):
    """Thirteen weeks, four regions, five products; a stock-out, a promotion, and some bad rows."""
    rows = ["date,region,product,units,revenue"]
    prices = {"desk lamp": 39.9, "floor lamp": 89.0, "bulb": 4.5, "shade": 17.25, "cable": 9.95}
    for day in range(91):
        date = datetime.date(2026, 1, 5) + datetime.timedelta(days=day)
        for region, size in {"north": 1.0, "south": 0.8, "east": 0.6, "west": 1.3}.items():
            for product, price in prices.items():
                usual = size * {"desk lamp": 40, "floor lamp": 18, "bulb": 210, "shade": 33, "cable": 64}[product]
                week = [1.0, 0.95, 0.97, 1.05, 1.3, 1.7, 0.6][date.weekday()]
                units = max(0, round(usual * week * (1 + 0.002 * day) * chance.gauss(1, 0.06)))
                if region == "west" and product == "bulb" and date == datetime.date(2026, 3, 18):
                    units *= 6
                if region == "south" and product == "floor lamp" and datetime.date(2026, 2, 11) <= date <= datetime.date(
                    2026, 2, 14
                ):
                    units = 0
                rows.append(f"{date},{region},{product},{units},{units * price:.2f}")
    rows.insert(400, "2026-01-31,north,bulb,,")
    rows.insert(700, "2026-02-08,east,cable,-12,-119.40")
    rows.append(rows[-1])
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    (HERE / "access.log").write_text(access_log(random.Random(20260312)), encoding="utf-8")
    (HERE / "sales.csv").write_text(sales_csv(random.Random(20260105)), encoding="utf-8")
