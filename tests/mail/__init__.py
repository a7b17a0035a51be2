"""Tests of the parser: made-up mail for every rule, real mail with judges beside the checkout."""
