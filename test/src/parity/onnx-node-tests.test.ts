import { describe, expect, it } from 'vitest';
import { findNodeTests, runNodeTests, summarize } from './onnx-node-tests.js';

const root = findNodeTests();

if (!root) {
  describe("the ONNX project's own node tests", () => {
    it.skip('skipped: no libonnx-testdata; install it or set WHET_ONNX_NODE_TESTS', () => {});
  });
} else {
  describe("the ONNX project's own node tests", () => {
    it('pass where the table has the operator, in float64 and, encoded again, on onnxruntime', async () => {
      const results = await runNodeTests(root);
      const failed = results.filter((result) => result.verdict === 'failed' || result.onRuntime === false);
      expect(failed).toEqual([]);
      expect(results.filter((result) => result.verdict === 'passed').length, summarize(results)).toBeGreaterThan(500);
    });
  });
}
