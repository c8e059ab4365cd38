"""Explaining a bill, and comparing months, price books and versions of the code. Changes no bill."""
