"""Overrides of tiny runs, for tests that compose their own."""

SMOKE = ["trainer=smoke", "trainer.limit=null", "trainer.pretrained=true"]
TINY = [*SMOKE, "data.prepare.train=8", "data.prepare.val=6"]
