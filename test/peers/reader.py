"""Reads and attacks an Iceberg catalog with PyIceberg. One JSON request on stdin, one JSON answer on stdout."""

import json
import sys

from pyiceberg.catalog import load_catalog
from pyiceberg.expressions import EqualTo
from pyiceberg.types import BinaryType, BooleanType, DoubleType, FloatType, IntegerType, LongType


def per_job(table, column):
    """Rows and the sum of `column`, by job; sums are exact integers."""
    grouped = table.group_by("job_id").aggregate([([], "count_all"), (column, "sum")])
    return {
        row["job_id"]: {"rows": row["count_all"], "sum": None if row[f"{column}_sum"] is None else str(row[f"{column}_sum"])}
        for row in grouped.to_pylist()
    }


def read(catalog, request):
    table = catalog.load_table(request["table"])
    rows = table.scan().to_arrow()
    answer = {
        "columns": [[field.field_id, field.name, str(field.field_type)] for field in table.schema().fields],
        "tenants": sorted(set(rows.column("tenant_id").unique().to_pylist())),
        "rows": rows.num_rows,
        "jobs": per_job(rows, request["sum"]),
        "nulls": {name: rows.column(name).null_count for name in rows.column_names},
    }
    if "job" in request:
        scan = table.scan(row_filter=EqualTo("job_id", request["job"]), selected_fields=("job_id", request["sum"]))
        answer["files"] = len(list(scan.plan_files()))
        answer["filtered"] = scan.to_arrow().num_rows
    return answer


def names(catalog, _request):
    spaces = [".".join(space) for space in catalog.list_namespaces()]
    return {"tables": sorted(".".join(table) for space in spaces for table in catalog.list_tables(space))}


def refusal(attempt):
    """How an attempt was refused; `done` when it was not."""
    try:
        attempt()
    except Exception as fault:  # noqa: BLE001: whatever it is, it is told
        return f"{type(fault).__name__}: {fault}"[:500]
    return "done"


def write(catalog, request):
    """Everything that a stranger with a reader's credentials could try."""
    table = catalog.load_table(request["table"])
    one = table.scan(limit=1).to_arrow()
    folder = table.location()

    def put(path):
        with table.io.new_output(path).create(overwrite=True) as stream:
            stream.write(b"not yours")

    return {
        "append": refusal(lambda: table.append(one)),
        "delete": refusal(lambda: table.delete(EqualTo("job_id", one.column("job_id")[0].as_py()))),
        "drop": refusal(lambda: catalog.drop_table(request["table"])),
        "create": refusal(lambda: catalog.create_table("reports.stranger", one.schema)),
        "property": refusal(lambda: table.transaction().set_properties({"owner": "me"}).commit_transaction()),
        "put": refusal(lambda: put(f"{folder}/data/stranger.parquet")),
        "overwrite": refusal(lambda: put(table.metadata_location)),
        "remove": refusal(lambda: table.io.delete(table.metadata_location)),
    }


def foreign(catalog, request):
    """Reads of what belongs to another tenant: its table by name, and its object with the credentials of a table of ours."""
    table = catalog.load_table(request["own"])

    def get(path):
        with table.io.new_input(path).open() as stream:
            stream.read()

    return {
        "own": refusal(lambda: get(table.metadata_location)),
        "table": refusal(lambda: catalog.load_table(request["table"])),
        "object": refusal(lambda: get(request["object"])),
        "namespaces": [".".join(space) for space in catalog.list_namespaces()],
    }


def literal(kind, text):
    """A value of a column's type; PyIceberg makes the others out of their texts itself."""
    if isinstance(kind, (IntegerType, LongType)):
        return int(text)
    if isinstance(kind, (FloatType, DoubleType)):
        return float(text)
    if isinstance(kind, BooleanType):
        return text == "true"
    return bytes.fromhex(text) if isinstance(kind, BinaryType) else text


def find(catalog, request):
    """How many rows each (column, value) has, found by a filter."""
    table = catalog.load_table(request["table"])
    counts = []
    for column, text in request["values"]:
        value = literal(table.schema().find_type(column), text)
        counts.append(table.scan(row_filter=EqualTo(column, value), selected_fields=("n",)).to_arrow().num_rows)
    return counts


def location(catalog, request):
    return {"location": catalog.load_table(request["table"]).metadata_location}


ASKS = {ask.__name__: ask for ask in (read, names, write, foreign, location, find)}


def main():
    request = json.load(sys.stdin)
    catalog = load_catalog("scarab", type="rest", uri=request["uri"], token=request["token"])
    json.dump(ASKS[request["ask"]](catalog, request), sys.stdout)


main()
