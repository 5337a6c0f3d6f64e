"""The paper's evaluation: run a test file through ComfyUI servers, score the results, report (paper, section 4)."""
