import type { Request, RequestHandler, Response } from 'express';
import { Problem } from '../problems.js';

/** Runs a body parser as a promise. What it fails with is turned into a problem, unless it is one. */
export function runParser(
  parse: RequestHandler,
  request: Request,
  response: Response,
  toProblem: (error: unknown) => Problem,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (error: unknown) => reject(error instanceof Problem ? error : toProblem(error));
    try {
      // Parsers answer through the callback; what they might return is of no use.
      void parse(request, response, (error?: unknown) => (error === undefined ? resolve() : refuse(error)));
    } catch (error) {
      refuse(error);
    }
  });
}
